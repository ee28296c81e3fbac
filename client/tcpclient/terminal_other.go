//go:build !linux

package tcpclient

import "os"

// isTerminal knows no terminals here, so no progress is shown.
func isTerminal(*os.File) bool { return false }
