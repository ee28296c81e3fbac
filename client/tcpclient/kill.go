package tcpclient

import (
	"fmt"
	"os"
)

// killSelf ends this process by SIGKILL, so that the kernel closes its connections.
func killSelf() error {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		return fmt.Errorf("kill this process: %w", err)
	}
	select {}
}
