// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Archive is Debian's archive and the user's cache of what came from it. It is safe for
// concurrent use, also by several processes with one cache.
type Archive struct {
	// Cache is the directory for what was fetched. See [DefaultCache].
	Cache  string
	Mirror Mirror
	// Log, where it is not nil, is told each file that is downloaded.
	Log func(line string)
}

// DefaultCache is the directory forkrig/kernels in the user's cache directory.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w: set XDG_CACHE_HOME or HOME", err)
	}
	return filepath.Join(dir, "forkrig", "kernels"), nil
}

// System returns the archive as apt is configured, with the user's cache.
func System(ctx context.Context) (*Archive, error) {
	cache, err := DefaultCache()
	if err != nil {
		return nil, err
	}
	m, err := SystemMirror(ctx)
	return &Archive{Cache: cache, Mirror: m}, err
}

func (a *Archive) log(format string, args ...any) {
	if a.Log != nil {
		a.Log(fmt.Sprintf(format, args...))
	}
}

// unusedAfter is how old a temporary directory is that a killed process has left.
const unusedAfter = 24 * time.Hour

const temporaryPrefix = "tmp-"

// temporary makes a directory in the cache, and removes those that killed processes have left.
func (a *Archive) temporary() (string, error) {
	if err := os.MkdirAll(a.Cache, 0o755); err != nil {
		return "", err
	}
	left, err := filepath.Glob(filepath.Join(a.Cache, temporaryPrefix+"*"))
	for _, dir := range left {
		if info, statErr := os.Stat(dir); statErr == nil && time.Since(info.ModTime()) > unusedAfter {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(a.Cache, temporaryPrefix)
}

// maxFile bounds a download.
const maxFile = 1 << 30

// statusError is an answer other than 200.
type statusError struct {
	Address string
	Status  int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("get %s: %d %s", e.Address, e.Status, http.StatusText(e.Status))
}

// isAbsent says whether the server has answered that there is no such file.
func isAbsent(err error) bool {
	var s *statusError
	return errors.As(err, &s) && (s.Status == http.StatusNotFound || s.Status == http.StatusGone)
}

// stallLimit is how long a download may stand still.
const stallLimit = time.Minute

// download writes a file of the archive to w. The address is one of Debian's own servers.
func (a *Archive) download(ctx context.Context, address string, w io.Writer) error {
	address = a.Mirror.on(address)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stallLimit, func() { cancel(fmt.Errorf("no byte came in %v", stallLimit)) })
	defer stalled.Stop()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{Proxy: a.Mirror.proxy, DisableCompression: true, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return because(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return &statusError{address, response.StatusCode}
	}
	body := io.TeeReader(response.Body, writerFunc(func(p []byte) (int, error) {
		stalled.Reset(stallLimit)
		return len(p), nil
	}))
	n, err := io.Copy(w, io.LimitReader(body, maxFile))
	switch {
	case err != nil:
		return fmt.Errorf("get %s: %w", address, because(ctx, err))
	case n == maxFile:
		return fmt.Errorf("get %s: it has more than %d bytes", address, maxFile)
	}
	return nil
}

// because is why the context ended, or err where it has not.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// checked writes a file of the archive to w and compares its checksum.
func (a *Archive) checked(ctx context.Context, address, sum string, w io.Writer) error {
	hash := sha256.New()
	if err := a.download(ctx, address, io.MultiWriter(w, hash)); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return fmt.Errorf("get %s: its SHA-256 is %s and not %s", a.Mirror.on(address), got, sum)
	}
	return nil
}

// write replaces a file of the cache at one instant.
func (a *Archive) write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is renamed where all went well
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
