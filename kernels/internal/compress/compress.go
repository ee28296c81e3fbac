// SPDX-License-Identifier: Apache-2.0

// Package compress reads compressed files. The standard library reads gzip; for xz and zstd a
// program of the machine does it.
package compress

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// programs are the commands that decompress from standard input to standard output, by the
// suffix of the file's name. The first that is installed is used.
func programs(suffix string) [][]string {
	switch suffix {
	case ".xz":
		return [][]string{
			{"xz", "-dc"},
			{"busybox", "xz", "-dc"},
			{"python3", "-c", "import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer)"},
		}
	case ".zst":
		return [][]string{{"zstd", "-dc"}}
	}
	return nil
}

// Suffixes are the suffixes of compressed files that [NewReader] knows.
func Suffixes() []string { return []string{".gz", ".xz", ".zst"} }

// MissingError says that no program is installed that decompresses a file.
type MissingError struct{ Suffix string }

func (e *MissingError) Error() string {
	var names []string
	for _, argv := range programs(e.Suffix) {
		names = append(names, argv[0])
	}
	return fmt.Sprintf("nothing here decompresses %s files: install %s", e.Suffix, strings.Join(names, " or "))
}

// Can says whether a file with that suffix can be read: nil, or a [MissingError].
func Can(suffix string) error {
	_, err := program(suffix)
	return err
}

// program returns the command for a suffix, or nil where none is needed.
func program(suffix string) ([]string, error) {
	all := programs(suffix)
	for _, argv := range all {
		if _, err := exec.LookPath(argv[0]); err == nil {
			return argv, nil
		}
	}
	if all != nil {
		return nil, &MissingError{suffix}
	}
	return nil, nil
}

// NewReader reads what r has compressed, as the suffix of a file's name says; any other suffix
// means that it is not compressed. The end of the context ends the program that reads. Close
// has to be called.
func NewReader(ctx context.Context, suffix string, r io.Reader) (io.ReadCloser, error) {
	argv, err := program(suffix)
	switch {
	case err != nil:
		return nil, err
	case argv != nil:
		return start(ctx, argv, r)
	case suffix == ".gz":
		return gzip.NewReader(r)
	}
	return io.NopCloser(r), nil
}

// pipe is a program that decompresses. Its error comes in the place of the end of the file.
type pipe struct {
	cmd       *exec.Cmd
	cancel    context.CancelFunc
	output    io.ReadCloser
	complaint bytes.Buffer
	ended     error // what Read returns after the end
}

func start(ctx context.Context, argv []string, r io.Reader) (*pipe, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pipe{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), cancel: cancel}
	p.cmd.Stdin, p.cmd.Stderr = r, &p.complaint
	output, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p.output = output
	return p, nil
}

func (p *pipe) Read(b []byte) (int, error) {
	if p.ended != nil {
		return 0, p.ended
	}
	n, err := p.output.Read(b)
	if err == nil {
		return n, nil
	}
	p.ended = err
	if waitErr := p.cmd.Wait(); waitErr != nil {
		p.ended = fmt.Errorf("%s: %w: %s", p.cmd.Args[0], waitErr, strings.TrimSpace(p.complaint.String()))
	}
	p.cancel()
	return n, p.ended
}

func (p *pipe) Close() error {
	if p.ended == nil {
		p.cancel()
		p.output.Close()
		p.cmd.Wait() // it was killed: only what was read before counts
		p.ended = errors.New("read after close")
	}
	return nil
}
