package rig

import (
	"context"
	"fmt"
)

// Plug heals [Host.Unplug]: it brings the host's own ends of all its links up,
// with their addresses and routes. Links whose other end is up have their carrier
// at both ends when it returns; those that are down at the other end stay without.
func (h *Host) Plug(ctx context.Context) error {
	if err := h.lab.checkOpen("plug in " + h.Name); err != nil {
		return err
	}
	err := h.plug(ctx)
	h.lab.Journal.Record(h.Name, "plugged in%s", errorSuffix(err))
	if err != nil {
		return fmt.Errorf("plug in %s: %w", h.Name, err)
	}
	return nil
}

func (h *Host) plug(ctx context.Context) error {
	h.lab.mu.Lock()
	devices := append([]*device(nil), h.devices...)
	links := append([]*Link(nil), h.lab.links...)
	h.lab.mu.Unlock()
	for _, d := range devices {
		if err := d.up(); err != nil {
			return err
		}
	}
	for _, link := range links {
		if link.ends[0].host != h && link.ends[1].host != h {
			continue
		}
		bothUp := true
		for _, end := range link.ends {
			up, err := end.isUp()
			if err != nil {
				return err
			}
			bothUp = bothUp && up
		}
		if !bothUp {
			continue
		}
		for _, end := range link.ends {
			if err := end.awaitCarrier(ctx); err != nil {
				return err
			}
		}
	}
	for _, d := range devices {
		if err := d.routes(); err != nil {
			return err
		}
	}
	return nil
}
