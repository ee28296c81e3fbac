// SPDX-License-Identifier: Apache-2.0

package rig

import "fmt"

// Segment makes the host send every packet over the link by itself, as on a wire,
// until undo is called. Without it a packet between hosts is up to 64 KiB of a TCP
// stream, which the kernel would cut up in the network card (TCP segmentation
// offload): longer than the MTU, and lost as a whole. It may be called several
// times; the last undo counts. Connections that stand are affected, too.
func (l *Link) Segment(from *Host) (undo func() error, err error) {
	what := fmt.Sprintf("segment what %v sends over link %s", from, l)
	if err := l.lab.checkOpen(what); err != nil {
		return nil, err
	}
	d := l.end(from)
	if d == nil {
		return nil, fmt.Errorf("%s: the link does not reach the host: choose one of its ends", what)
	}
	change := func(by int) error {
		d.offload.Lock()
		defer d.offload.Unlock()
		if before := d.segmented; before == 0 || before+by == 0 {
			if err := d.SetSegmentation(by < 0); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		d.segmented += by
		return nil
	}
	if err := change(+1); err != nil {
		return nil, err
	}
	return func() error { return change(-1) }, nil
}
