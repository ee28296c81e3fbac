// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"fmt"
)

// StatusField returns the value of a field in the text of /proc/PID/status, or of another file
// with a field on each line, such as fdinfo (proc_pid_status(5)).
func StatusField(text []byte, field string) (string, error) {
	for line := range bytes.Lines(text) {
		if name, value, found := bytes.Cut(line, []byte(":")); found && string(name) == field {
			return string(bytes.TrimSpace(value)), nil
		}
	}
	return "", fmt.Errorf("there is no field %s", field)
}
