// SPDX-License-Identifier: Apache-2.0

// Package schematest holds what the code writes against the JSON Schema files in docs/schemas. Only
// tests import it.
package schematest

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is a schema that refuses fields that it does not describe, unlike the file, whose readers
// ignore them.
type Schema struct {
	*jsonschema.Schema
	loader strict
	url    string
}

// Compile returns the schema in a file of docs/schemas, such as "card.schema.json". It fails tb where
// the schema is wrong, or a field has no description, and skips it where the sources are not here.
func Compile(tb testing.TB, name string) Schema {
	tb.Helper()
	s := Schema{loader: strict{}, url: (&url.URL{Scheme: "file", Path: filepath.Join(directory(tb), name)}).String()}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(s.loader)
	compiler.AssertFormat()
	var err error
	if s.Schema, err = compiler.Compile(s.url); err != nil {
		tb.Fatal(err)
	}
	for file, document := range s.loader {
		each(document, file, func(place string, object map[string]any) {
			properties, _ := object["properties"].(map[string]any)
			for field, described := range properties {
				if d, is := described.(map[string]any); is && object["type"] == "object" && d["description"] == nil {
					tb.Errorf("%s: field %q has no description", place, field)
				}
			}
		})
	}
	return s
}

// directory returns docs/schemas.
func directory(tb testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "docs", "schemas")
		}
		if dir == filepath.Dir(dir) {
			tb.Skip("the sources are not here: this binary runs somewhere else")
		}
	}
}

// Check returns what is wrong with a text of JSON.
func (s Schema) Check(text string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// Unwritten returns the fields of the schema that none of the texts has: it describes
// what is not written any more.
func (s Schema) Unwritten(texts ...string) (fields []string, err error) {
	written := map[string]bool{}
	for _, text := range texts {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		s.note(s.url, value, written)
	}
	own := s.loader[s.url]
	each(own, "", func(place string, object map[string]any) {
		properties, _ := object["properties"].(map[string]any)
		for field := range properties {
			if name := s.url + "#" + place + "/properties/" + field; object["type"] == "object" && !written[name] {
				fields = append(fields, name[len(s.url):])
			}
		}
	})
	slices.Sort(fields)
	return fields, nil
}

// note notes the places of the fields that a value has.
func (s Schema) note(place string, value any, written map[string]bool) {
	object := s.at(place)
	for object["$ref"] != nil {
		base, _ := url.Parse(place)
		ref, _ := base.Parse(object["$ref"].(string))
		place = ref.String()
		object = s.at(place)
	}
	if !strings.Contains(place, "#") {
		place += "#"
	}
	switch value := value.(type) {
	case map[string]any:
		for field, of := range value {
			name := place + "/properties/" + field
			written[name] = true
			s.note(name, of, written)
		}
	case []any:
		for _, of := range value {
			s.note(place+"/items", of, written)
		}
	}
}

// at returns the part of a schema at a URL, which may have a JSON pointer.
func (s Schema) at(place string) map[string]any {
	file, pointer, _ := strings.Cut(place, "#")
	object, _ := s.loader[file].(map[string]any)
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if name != "" {
			object, _ = object[name].(map[string]any)
		}
	}
	return object
}

// strict loads files, and has each object refuse what it does not describe.
type strict map[string]any

// Load implements [jsonschema.URLLoader].
func (l strict) Load(place string) (any, error) {
	if document, loaded := l[place]; loaded {
		return document, nil
	}
	document, err := jsonschema.FileLoader{}.Load(place)
	if err != nil {
		return nil, err
	}
	each(document, place, func(_ string, object map[string]any) {
		if object["type"] == "object" && object["properties"] != nil {
			object["additionalProperties"] = false
		}
	})
	l[place] = document
	return document, nil
}

// each calls f for every object in a schema, with its JSON pointer after a prefix.
func each(schema any, place string, f func(place string, object map[string]any)) {
	switch schema := schema.(type) {
	case map[string]any:
		f(place, schema)
		for _, name := range slices.Sorted(maps.Keys(schema)) {
			each(schema[name], place+"/"+name, f)
		}
	case []any:
		for i, item := range schema {
			each(item, fmt.Sprintf("%s/%d", place, i), f)
		}
	}
}
