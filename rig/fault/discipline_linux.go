// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"forkrig/rig"
)

// addDiscipline replaces the queueing discipline of the sending end's device.
// Requires CAP_NET_ADMIN.
func addDiscipline(f Impairment) (remove func() error, err error) {
	device := f.Link.Device(f.From)
	with := func(change func(*netlink.Handle, netlink.QdiscAttrs) error) error {
		return withRoutes(f.From, func(h *netlink.Handle) error {
			link, err := h.LinkByName(device)
			if err != nil {
				return err
			}
			return change(h, netlink.QdiscAttrs{
				LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
			})
		})
	}
	discipline, feature, option := f.tbf, rig.FeatureTBF, "CONFIG_NET_SCH_TBF"
	if f.needsNetem() {
		discipline, feature, option = f.netem, rig.FeatureNetem, "CONFIG_NET_SCH_NETEM"
	}
	err = with(func(h *netlink.Handle, at netlink.QdiscAttrs) error { return h.QdiscAdd(discipline(at)) })
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		remedy := fmt.Sprintf("use a kernel with %s, or leave InKernel out", option)
		return nil, &rig.MissingError{Feature: feature, Err: err, Remedy: remedy}
	}
	if err != nil {
		return nil, fmt.Errorf("add %s to %s on %v: %w", feature, device, f.From, err)
	}
	return func() error {
		return with(func(h *netlink.Handle, at netlink.QdiscAttrs) error { return h.QdiscDel(discipline(at)) })
	}, nil
}

// needsNetem says whether there is more than a rate.
func (f Impairment) needsNetem() bool {
	return f.Loss > 0 || f.Duplicate > 0 || f.Reorder > 0 || f.Delay > 0 || f.Jitter > 0 || f.RateBitsPerSecond == 0
}

func (f Impairment) netem(at netlink.QdiscAttrs) netlink.Qdisc {
	percent := func(p float64) float32 { return float32(p * 100) }
	const packets = 100_000 // that wait at the most
	return netlink.NewNetem(at, netlink.NetemQdiscAttrs{
		Limit:       packets,
		Loss:        percent(f.Loss),
		Duplicate:   percent(f.Duplicate),
		ReorderProb: percent(f.Reorder),
		Latency:     uint32(min(f.Delay/time.Microsecond, math.MaxUint32)),
		Jitter:      uint32(min(f.Jitter/time.Microsecond, math.MaxUint32)),
		Rate64:      uint64(f.RateBitsPerSecond) / 8,
	})
}

func (f Impairment) tbf(at netlink.QdiscAttrs) netlink.Qdisc {
	bytesPerSecond := uint64(f.RateBitsPerSecond) / 8
	// A burst of one longest packet, or of what passes in a tick of a slow clock.
	const longest, ticksPerSecond = 1514, 100
	burst := uint32(max(longest, min(bytesPerSecond/ticksPerSecond, 1<<20)))
	return &netlink.Tbf{
		QdiscAttrs: at,
		Rate:       bytesPerSecond,
		Limit:      uint32(f.queueBytes()) + burst,
		Buffer:     netlink.Xmittime(bytesPerSecond, burst),
	}
}
