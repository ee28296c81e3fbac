// SPDX-License-Identifier: Apache-2.0

// Command smtp-old takes mail and throws it away, with a go-smtp that any error of
// accept ends.
package main

import (
	"io"
	"log"
	"os"

	"github.com/emersion/go-smtp"
)

type backend struct{}

func (backend) Login(*smtp.ConnectionState, string, string) (smtp.Session, error) {
	return session{}, nil
}
func (backend) AnonymousLogin(*smtp.ConnectionState) (smtp.Session, error) { return session{}, nil }

type session struct{}

func (session) Reset()                              {}
func (session) Logout() error                       { return nil }
func (session) Mail(string, smtp.MailOptions) error { return nil }
func (session) Rcpt(string) error                   { return nil }
func (session) Data(r io.Reader) error              { _, err := io.Copy(io.Discard, r); return err }

func main() {
	s := smtp.NewServer(backend{})
	s.Addr, s.Domain = os.Args[1], "localhost"
	log.Fatal(s.ListenAndServe())
}
