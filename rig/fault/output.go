package fault

import (
	"context"
	"errors"
	"fmt"

	"forkrig/rig"
)

// ClosedOutput closes the reading end of what a process writes: its next write
// gives EPIPE and raises SIGPIPE, which ends a process that neither catches nor
// ignores it; so for its children, which share the stream. It is what happens
// when the program that a log is piped to ends. It cannot be healed.
type ClosedOutput struct {
	Of     *rig.Process
	Stream Stream
}

// FullOutput stops reading what a process writes and fills the pipe to the brim:
// its next write blocks, also that of a single byte, and so for its children,
// which share the stream. It is what happens when the program that a log is piped
// to hangs. Healing reads on; nothing that the process wrote is lost.
type FullOutput struct {
	Of     *rig.Process
	Stream Stream
}

// Stream says which of the standard streams of a process is meant. Its zero
// value is both.
type Stream uint8

// The streams. One that the process has closed, or that is a file
// ([rig.Command].StderrTo), cannot be broken; of both one is enough.
const (
	BothStreams Stream = iota
	Stdout
	Stderr
)

func (s Stream) String() string {
	switch s {
	case BothStreams:
		return "stdout and stderr"
	case Stdout:
		return "stdout"
	case Stderr:
		return "stderr"
	}
	return fmt.Sprintf("stream %d", uint8(s))
}

// outputs returns what the rig reads of the process.
func (s Stream) outputs(of *rig.Process) ([]*rig.Output, error) {
	switch {
	case of == nil:
		return nil, errors.New("there is no process: name one")
	case s == BothStreams:
		return []*rig.Output{of.Stdout, of.Stderr}, nil
	case s == Stdout:
		return []*rig.Output{of.Stdout}, nil
	case s == Stderr:
		return []*rig.Output{of.Stderr}, nil
	}
	return nil, fmt.Errorf("there is no %v: choose Stdout, Stderr or BothStreams", s)
}

func (c ClosedOutput) String() string {
	return fmt.Sprintf("the reader of %s of %v is gone", c.Stream, c.Of)
}

// Break implements [Fault].
func (c ClosedOutput) Break(ctx context.Context, _ *rig.Lab) (func(context.Context) error, error) {
	outputs, err := c.Stream.outputs(c.Of)
	if err != nil {
		return nil, err
	}
	open := false
	for _, output := range outputs {
		was, err := output.Close(ctx)
		if err != nil {
			return nil, err
		}
		open = open || was
	}
	if !open {
		return nil, fmt.Errorf("%s of %v is not open to the rig: the process has closed it, or it is a file", c.Stream, c.Of)
	}
	return nil, nil
}

func (f FullOutput) String() string { return fmt.Sprintf("%s of %v is full", f.Stream, f.Of) }

// Break implements [Fault].
func (f FullOutput) Break(ctx context.Context, _ *rig.Lab) (func(context.Context) error, error) {
	outputs, err := f.Stream.outputs(f.Of)
	if err != nil {
		return nil, err
	}
	var full []*rig.Output
	heal := func(ctx context.Context) error {
		var errs []error
		for _, output := range full {
			errs = append(errs, output.Drain(ctx))
		}
		return errors.Join(errs...)
	}
	var ended error
	for _, output := range outputs {
		switch err := output.Fill(ctx); {
		case err == nil:
			full = append(full, output)
		case errors.Is(err, rig.ErrEnded):
			ended = err
		default:
			return nil, errors.Join(err, heal(ctx))
		}
	}
	if len(full) == 0 {
		return nil, ended
	}
	return heal, nil
}
