module subjects

go 1.26

require github.com/emersion/go-smtp v0.14.0

require github.com/emersion/go-sasl v0.0.0-20200509203442-7bfe0ed36a21 // indirect
