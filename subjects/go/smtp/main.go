// SPDX-License-Identifier: Apache-2.0

// Command smtp takes mail and throws it away.
package main

import (
	"io"
	"log"
	"os"

	"github.com/emersion/go-smtp"
)

type session struct{}

func (session) Reset()                               {}
func (session) Logout() error                        { return nil }
func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (session) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }

func main() {
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return session{}, nil }))
	s.Addr, s.Domain = os.Args[1], "localhost"
	log.Fatal(s.ListenAndServe())
}
