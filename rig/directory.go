// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
)

// MakeDirectory makes an empty directory for a process that [Command.User] runs: it belongs
// to that user, others may enter it and list it, and its path needs no quotes in a shell. It
// is removed, with all that is in it, when the lab has ended its processes. The error is that
// of [Host.Start] where the user is not known.
func (l *Lab) MakeDirectory(user string) (path string, err error) {
	credential, err := credentialOf(user)
	if err != nil {
		return "", err
	}
	if err := l.checkOpen("make a directory"); err != nil {
		return "", err
	}
	if path, err = os.MkdirTemp("", "dir-"); err != nil {
		return "", fmt.Errorf("make a directory: %w", err)
	}
	l.mu.Lock()
	l.directories = append(l.directories, path)
	l.mu.Unlock()
	const mode = 0o755
	err = os.Chmod(path, mode)
	if err == nil && credential != nil {
		err = os.Chown(path, int(credential.Uid), int(credential.Gid))
	}
	l.Journal.Record("lab", "directory %s%s", path, errorSuffix(err))
	return path, err
}

// removeDirectories removes what MakeDirectory made.
func (l *Lab) removeDirectories() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, path := range l.directories {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}
