// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"

	"forkrig/kernels/internal/compress"
)

// unpack writes the files of a .deb for which want is true into a directory. dpkg-deb reads the
// package where it is installed.
func unpack(ctx context.Context, deb, dir string, want func(path string) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	files, err := openData(ctx, deb)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	err = untar(files, dir, want)
	if err == nil {
		_, err = io.Copy(io.Discard, files)
	}
	if err != nil {
		cancel() // the rest is not wanted
		files.Close()
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	if err := files.Close(); err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	return nil
}

// openData opens the tar archive of the files in a .deb.
func openData(ctx context.Context, deb string) (io.ReadCloser, error) {
	if dpkg, err := exec.LookPath("dpkg-deb"); err == nil {
		cmd := exec.CommandContext(ctx, dpkg, "--fsys-tarfile", deb)
		output, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		return readCloser{output, cmd.Wait}, err
	}
	f, err := os.Open(deb)
	if err != nil {
		return nil, err
	}
	name, data, err := arMember(bufio.NewReader(f), "data.tar")
	if err == nil {
		var r io.ReadCloser
		if r, err = compress.NewReader(ctx, path.Ext(name), data); err == nil {
			return readCloser{r, func() error { return errors.Join(r.Close(), f.Close()) }}, nil
		}
	}
	return nil, errors.Join(err, f.Close())
}

type readCloser struct {
	io.Reader
	close func() error
}

func (r readCloser) Close() error { return r.close() }

const (
	arMagic  = "!<arch>\n"
	arHeader = 60 // bytes before each member (deb(5), ar(5))
)

// arMember finds the member of an ar archive whose name begins with a text.
func arMember(r io.Reader, begin string) (name string, data io.Reader, err error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return "", nil, errors.New("it is not a Debian package")
	}
	header := make([]byte, arHeader)
	for {
		if _, err := io.ReadFull(r, header); err != nil {
			return "", nil, fmt.Errorf("it has no %s: %w", begin, err)
		}
		name := strings.TrimSuffix(strings.TrimSpace(string(header[:16])), "/")
		size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
		if err != nil || size < 0 || string(header[58:]) != "`\n" {
			return "", nil, fmt.Errorf("a header of its ar archive is wrong: %q", header)
		}
		if strings.HasPrefix(name, begin) {
			return name, io.LimitReader(r, size), nil
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return "", nil, fmt.Errorf("it is cut short: %w", err)
		}
	}
}

// untar writes directories, files and links below a directory, and nothing outside of it.
func untar(r io.Reader, dir string, want func(path string) bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(strings.TrimPrefix(header.Name, "/"))
		if name == "." || !want(name) {
			continue
		}
		if err := writeMember(root, name, header, files); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

func writeMember(root *os.Root, name string, header *tar.Header, data io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(header.Linkname, name)
	case tar.TypeLink:
		return root.Link(path.Clean(strings.TrimPrefix(header.Linkname, "/")), name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644|fs.FileMode(header.Mode)&0o111)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, data)
		return errors.Join(err, f.Close())
	}
	return nil // a device: none is needed
}
