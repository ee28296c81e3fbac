# The application of puma.
run ->(_) { [200, { "Content-Type" => "text/plain" }, ["ok\n"]] }
