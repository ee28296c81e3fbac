// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"forkrig/rig"
)

// Fault is a way to break something in a lab. Making one breaks nothing; see
// [Apply].
type Fault interface {
	// String says what is broken, as a phrase that stands in journals and
	// stories: "client1 is parted from server".
	fmt.Stringer
	// Break breaks it and returns when it is broken. heal undoes that and
	// returns when it is undone; it is nil where nothing can be undone, as with a
	// kill. A Break that fails leaves nothing broken.
	Break(ctx context.Context, lab *rig.Lab) (heal func(context.Context) error, err error)
}

// Applied is a fault that was applied. Its methods are safe for concurrent use.
type Applied struct {
	Fault Fault

	lab *rig.Lab

	mu     sync.Mutex
	heal   func(context.Context) error
	end    func(format string, args ...any) // records the end; nil where heal is
	healed bool
	err    error
}

// Apply breaks what f says. What [Applied.Heal] has not healed by then is healed
// at the end of the lab. The error wraps os.ErrProcessDone where f targets processes
// of which none is alive.
func Apply(ctx context.Context, lab *rig.Lab, f Fault) (*Applied, error) {
	if f == nil {
		return nil, errors.New("apply a fault: it is nil: give a fault")
	}
	if v := reflect.ValueOf(f); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("apply a fault: the %T is nil: give a fault", f)
	}
	if lab == nil {
		return nil, fmt.Errorf("apply the fault that %v: there is no lab: make one by rig.New", f)
	}
	began := time.Now() // what it breaks may be seen before it has returned
	heal, err := f.Break(ctx, lab)
	if err != nil {
		lab.Journal.RecordSince(began, rig.EventFault, "fault", "%v: %v", f, err)
		return nil, fmt.Errorf("apply the fault that %v: %w", f, err)
	}
	a := &Applied{Fault: f, lab: lab, heal: heal}
	if heal == nil {
		lab.Journal.RecordSince(began, rig.EventFault, "fault", "%v", f)
	} else {
		a.end = lab.Journal.Begin(began, rig.EventFault, "fault", hostsOf(reflect.ValueOf(f)), "%v", f)
		if err := lab.AtEnd(a.Heal); err != nil {
			return nil, err // the lab has ended meanwhile, and has healed it
		}
	}
	return a, nil
}

// Heal undoes the fault and returns when it is undone. A second call changes
// nothing and returns what the first did. A fault that cannot be undone, such as
// a kill, needs no healing.
func (a *Applied) Heal(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.healed || a.heal == nil {
		return a.err
	}
	a.healed = true
	if err := a.heal(ctx); err != nil {
		a.err = fmt.Errorf("heal the fault that %v: %w", a.Fault, err)
	}
	a.end("healed: %v%s", a.Fault, suffix(a.err))
	return a.err
}

func suffix(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// hostsOf are the hosts that the exported fields of a fault name: themselves, or by their links and
// processes.
func hostsOf(v reflect.Value) []*rig.Host {
	if v = reflect.Indirect(v); v.Kind() != reflect.Struct {
		return nil
	}
	var hosts []*rig.Host
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		switch field := v.Field(i).Interface().(type) {
		case *rig.Host:
			hosts = append(hosts, field)
		case []*rig.Host:
			hosts = append(hosts, field...)
		case *rig.Link:
			if field != nil {
				ends := field.Hosts()
				hosts = append(hosts, ends[:]...)
			}
		case *rig.Process:
			if field != nil {
				hosts = append(hosts, field.Host)
			}
		case []rig.Target:
			for _, target := range field {
				hosts = append(hosts, target.Host())
			}
		case Clients, rig.Storm:
			hosts = append(hosts, hostsOf(v.Field(i))...)
		}
	}
	return hosts
}
