// SPDX-License-Identifier: Apache-2.0

// Command client is the reference TCP client: a person's line-by-line client, a client
// that counts, and a load of many connections that verifies every byte and
// closes them in the way it is told to. Run it with -h for its flags.
package main

import (
	"os"

	"forkrig/client/tcpclient"
)

func main() {
	os.Exit(tcpclient.Main(os.Args))
}
