// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxFileBytes is more than the length of any recording that is written.
const maxFileBytes = 256 << 20

// ReadFile reads a recording that was written as JSON; it has no frames. The error names the file.
func ReadFile(name string) (Recording, error) {
	switch info, err := os.Stat(name); {
	case err != nil:
		return Recording{}, err
	case !info.Mode().IsRegular(): // a named pipe would block
		return Recording{}, fmt.Errorf("%s is not a regular file", name)
	case info.Size() > maxFileBytes:
		return Recording{}, fmt.Errorf("%s has more than %d bytes: this is not a recording", name, maxFileBytes)
	}
	file, err := os.Open(name)
	if err != nil {
		return Recording{}, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("it has more than %d bytes: this is not a recording", maxFileBytes)
	}
	var r Recording
	if err == nil {
		r, err = Parse(content)
	}
	if err != nil {
		return Recording{}, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// Parse reads a recording. It refuses what has another schema, and what speaks of things that the
// recording does not have.
func Parse(content []byte) (Recording, error) {
	var r Recording
	if !IsRecording(content) {
		return r, errors.New("this is not a recording, as -record writes one")
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return Recording{}, fmt.Errorf("the recording is damaged: %w", err)
	}
	if r.Schema != Schema {
		return Recording{}, fmt.Errorf("the recording has schema %d, and this forkrig reads %d: use the forkrig that wrote it, or a newer one", r.Schema, Schema)
	}
	return r, r.check()
}

// IsRecording says whether the text of a file may be a recording, and not a card or a story.
func IsRecording(content []byte) bool {
	var fields struct {
		Hosts  *json.RawMessage `json:"hosts"`
		Events *json.RawMessage `json:"events"`
	}
	return json.NewDecoder(bytes.NewReader(content)).Decode(&fields) == nil && fields.Hosts != nil && fields.Events != nil
}

// check says what does not fit together: the exporters and the page index by these numbers.
func (r Recording) check() error {
	within := func(what string, id, n int) error {
		if id < 0 || id > n {
			return fmt.Errorf("the recording speaks of %s %d, and has %d: it is damaged", what, id, n)
		}
		return nil
	}
	for i, e := range r.Events {
		if e.ID != i+1 {
			return fmt.Errorf("event %d of the recording has the ID %d: it is damaged", i+1, e.ID)
		}
		if e.Kind == Segment && e.Packet == nil {
			return fmt.Errorf("event %d of the recording is a packet without its numbers: it is damaged", e.ID)
		}
		if err := errors.Join(within("process", e.Process, len(r.Processes)), within("connection", e.Connection, len(r.Connections)),
			within("span", e.Span, len(r.Spans))); err != nil {
			return err
		}
	}
	for _, p := range r.Processes {
		if err := within("process", p.Parent, len(r.Processes)); err != nil {
			return err
		}
	}
	return within("event", r.Focus, len(r.Events))
}

// WriteJSON writes the recording as one line of JSON that [Parse] reads.
func (r Recording) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}
