// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"forkrig/kernels/internal/compress"
)

// NetworkModules are the modules that labs of this repository use, where a kernel has them as
// modules: links, queues, packet filters, socket diagnosis.
func NetworkModules() []string {
	return []string{
		"ipv6", "af_packet", "veth", "bridge", "dummy", "tun", "ifb",
		"sch_netem", "sch_tbf", "sch_fq", "sch_fq_codel", "sch_ingress", "cls_u32", "act_mirred",
		"inet_diag", "tcp_diag", "udp_diag", "unix_diag", "raw_diag", "mptcp_diag", "netlink_diag", "af_packet_diag",
		"nf_tables", "nf_conntrack", "nft_ct", "nft_limit", "nft_quota", "nft_numgen", "nft_log", "nft_counter", "nft_connlimit",
		"nft_reject_inet", "nft_reject_ipv4", "nft_reject_ipv6", "nft_reject_netdev", "nft_fib_inet", "nft_queue", "nft_hash", "nft_nat",
		"nfnetlink_queue", "nfnetlink_log", "tls", "overlay",
	}
}

// module is one module of a kernel.
type module struct {
	name string
	path string
	data []byte // without compression
}

// moduleName returns the name that the kernel gives a module, of a file's path.
func moduleName(path string) string {
	name := filepath.Base(path)
	for _, suffix := range compress.Suffixes() {
		name = strings.TrimSuffix(name, suffix)
	}
	name, isModule := strings.CutSuffix(name, ".ko")
	if !isModule {
		return ""
	}
	return normal(name)
}

func normal(name string) string { return strings.ReplaceAll(name, "-", "_") }

// findModules returns modules and those that they depend on, in the order in which they are
// loaded. What is built into the kernel is left out; absent are the names that the kernel has
// neither built in nor as a module.
func findModules(ctx context.Context, dir string, names []string) (found []module, absent []string, err error) {
	paths := map[string]string{}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name := moduleName(path); name != "" {
			paths[name] = path
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for modules: %w", err)
	}
	for name := range builtIn(dir) {
		delete(paths, name)
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return normal(n) == name })
	}
	visited := map[string]bool{}
	var visit func(name string, wanted bool) error
	visit = func(name string, wanted bool) error {
		name = normal(name)
		path, known := paths[name]
		if visited[name] || !known {
			if wanted && !known {
				absent = append(absent, name)
			}
			return nil
		}
		visited[name] = true
		data, err := readModule(ctx, path)
		if err != nil {
			return err
		}
		depends, err := dependsOf(data)
		for _, other := range depends {
			err = errors.Join(err, visit(other, false))
		}
		found = append(found, module{name, path, data})
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		return nil
	}
	for _, name := range names {
		if err := visit(name, true); err != nil {
			return nil, nil, err
		}
	}
	return found, absent, nil
}

// builtIn returns the names of what could be a module and is a part of the kernel. A kernel
// without that list has none.
func builtIn(dir string) map[string]bool {
	names := map[string]bool{}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return names
	}
	for lines := bufio.NewScanner(bytes.NewReader(list)); lines.Scan(); {
		names[moduleName(lines.Text())] = true
	}
	return names
}

// maxModule bounds the size of a module.
const maxModule = 64 << 20

func readModule(ctx context.Context, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := compress.NewReader(ctx, filepath.Ext(path), f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxModule))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// dependsOf returns the names of the modules that one depends on: the field depends= of its
// section .modinfo.
func dependsOf(data []byte) ([]string, error) {
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil, errors.New("it has no section .modinfo")
	}
	fields, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range bytes.SplitSeq(fields, []byte{0}) {
		if names, isDepends := bytes.CutPrefix(field, []byte("depends=")); isDepends && len(names) > 0 {
			return strings.Split(string(names), ","), nil
		}
	}
	return nil, nil
}
