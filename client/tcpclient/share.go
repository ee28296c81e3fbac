package tcpclient

// A part is one process's part of a load.
type part struct {
	process     int // number of the process, from 0
	processes   int // how many processes there are
	first       int // number of its first connection
	connections int // how many connections it has
}

// share divides the connections evenly; the first processes get one more if there is a rest.
func share(connections, processes, process int) part {
	each, rest := connections/processes, connections%processes
	p := part{
		process:     process,
		processes:   processes,
		first:       process*each + min(process, rest),
		connections: each,
	}
	if process < rest {
		p.connections++
	}
	return p
}

// processOf returns the number of the process that has the connection.
func processOf(connection, connections, processes int) int {
	each, rest := connections/processes, connections%processes
	if border := rest * (each + 1); connection >= border {
		return rest + (connection-border)/each
	}
	return connection / (each + 1)
}
