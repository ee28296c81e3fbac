// SPDX-License-Identifier: Apache-2.0

package recorder_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
)

const schemaFile = "../docs/schemas/recording.schema.json"

// needsSources skips the rest of the test where the test binary runs without the repository.
func needsSources(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(schemaFile); errors.Is(err, os.ErrNotExist) {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
}

// validator returns the schema that is documented, compiled, with formats asserted.
func validator(t *testing.T) *jsonschema.Schema {
	needsSources(t)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(schemaFile)
	require.NoError(t, err)
	return schema
}

func encoded(t *testing.T, r recorder.Recording) any {
	b, err := json.Marshal(r)
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	require.NoError(t, err)
	return document
}

func TestRecordingKeepsItsSchema(t *testing.T) {
	schema := validator(t)
	assert.NoError(t, schema.Validate(encoded(t, forkingServer(t))))
	assert.NoError(t, schema.Validate(encoded(t, recorder.Recording{
		Schema: recorder.Schema, Hosts: []recorder.Host{}, Processes: []recorder.Process{}, Connections: []recorder.Connection{},
		Spans: []recorder.Span{}, Events: []recorder.Event{}, Dropped: []recorder.Dropped{},
	})), "lists of nothing")
	r := forkingServer(t)
	for i, text := range hostile {
		r.Events = append(r.Events, recorder.Event{ID: len(r.Events) + 1, At: time.Duration(i), Kind: recorder.Output, Text: text})
	}
	assert.NoError(t, schema.Validate(encoded(t, r)), "hostile texts")
}

// TestSchemaBites changes one thing of a right document at a time.
func TestSchemaBites(t *testing.T) {
	schema := validator(t)
	type object = map[string]any
	first := func(document object, list string) object { return document[list].([]any)[0].(object) }
	for name, change := range map[string]func(object){
		"another version":       func(d object) { d["schema"] = 2 },
		"no name":               func(d object) { delete(d, "name") },
		"a seed as a number":    func(d object) { d["seed"] = 5 },
		"a time that is none":   func(d object) { d["began"] = "yesterday" },
		"a length in words":     func(d object) { d["length_ns"] = "2s" },
		"an unknown verdict":    func(d object) { d["outcome"].(object)["verdict"] = "perfect" },
		"a host without a name": func(d object) { delete(first(d, "hosts"), "name") },
		"a process 0":           func(d object) { first(d, "processes")["id"] = 0 },
		"half a nanosecond":     func(d object) { first(d, "processes")["began_ns"] = 0.5 },
		"descriptors of never":  func(d object) { d["processes"].([]any)[2].(object)["descriptors"].([]any)[0].(object)["at_ns"] = nil },
		"no server":             func(d object) { delete(first(d, "connections"), "server") },
		"a span of a note":      func(d object) { first(d, "spans")["kind"] = "note" },
		"an unknown kind":       func(d object) { first(d, "events")["kind"] = "surprise" },
		"an event without text": func(d object) { delete(first(d, "events"), "text") },
		"a packet of nothing":   func(d object) { first(d, "events")["packet"] = object{} },
		"a side of nobody":      func(d object) { d["events"].([]any)[2].(object)["packet"].(object)["side"] = "" },
		"null interfaces":       func(d object) { first(d, "hosts")["interfaces"] = nil },
		"null addresses":        func(d object) { first(first(d, "hosts"), "interfaces")["addresses"] = nil },
		"null states":           func(d object) { first(d, "processes")["states"] = nil },
		"dropped without kind":  func(d object) { d["dropped"] = []any{object{"count": 1}} },
	} {
		document := encoded(t, forkingServer(t)).(object)
		require.NoError(t, schema.Validate(document))
		change(document)
		assert.Error(t, schema.Validate(document), name)
	}
	for _, list := range []string{"hosts", "processes", "connections", "spans", "events", "dropped"} {
		document := encoded(t, forkingServer(t)).(object)
		document[list] = nil
		assert.Error(t, schema.Validate(document), "null %s", list)
	}
}

// TestSchemaNamesEveryField compares the schema with the types: each field is there, and those
// that are always written are required.
func TestSchemaNamesEveryField(t *testing.T) {
	needsSources(t)
	text, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	type object struct {
		Properties map[string]json.RawMessage
		Required   []string
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(text, &schema))
	for name, kind := range map[string]reflect.Type{
		"":           reflect.TypeFor[recorder.Recording](),
		"outcome":    reflect.TypeFor[recorder.Outcome](),
		"host":       reflect.TypeFor[recorder.Host](),
		"interface":  reflect.TypeFor[recorder.Interface](),
		"process":    reflect.TypeFor[recorder.Process](),
		"state":      reflect.TypeFor[recorder.State](),
		"connection": reflect.TypeFor[recorder.Connection](),
		"endpoint":   reflect.TypeFor[recorder.Endpoint](),
		"span":       reflect.TypeFor[recorder.Span](),
		"event":      reflect.TypeFor[recorder.Event](),
		"packet":     reflect.TypeFor[recorder.Packet](),
		"dropped":    reflect.TypeFor[recorder.Dropped](),
	} {
		described := schema.Defs[name]
		if name == "" {
			described = schema.object
		}
		var fields, required []string
		for i := range kind.NumField() {
			tag, options, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if tag == "-" {
				continue
			}
			fields = append(fields, tag)
			if !strings.Contains(options, "omitempty") {
				required = append(required, tag)
			}
		}
		var properties []string
		for property := range described.Properties {
			properties = append(properties, property)
		}
		slices.Sort(properties)
		slices.Sort(fields)
		assert.Equal(t, fields, properties, "properties of %q", kind)
		assert.ElementsMatch(t, required, described.Required, "what %q requires", kind)
	}
}
