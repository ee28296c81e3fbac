package rig

import (
	"context"
	"errors"
	"slices"
)

// Replug heals [Host.Unplug]: it brings all links of the host up and returns when
// both ends of each have a carrier, their addresses and their routes.
func (h *Host) Replug(ctx context.Context) error {
	if err := h.lab.checkOpen("replug " + h.Name); err != nil {
		return err
	}
	h.lab.mu.Lock()
	links := slices.Clone(h.lab.links)
	h.lab.mu.Unlock()
	var errs []error
	for _, l := range links {
		if l.ends[0].host == h || l.ends[1].host == h {
			errs = append(errs, l.up(ctx))
		}
	}
	err := errors.Join(errs...)
	h.lab.Journal.Record(h.Name, "plugged in again%s", errorSuffix(err))
	return err
}
