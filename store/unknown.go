package store

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// keepUnknown adds to an encoded record the fields of the one that it replaces which this xlb does not know: a later one has
// written them, and reads them again. It goes into objects inside of objects, and not into lists, whose elements nothing
// tells apart.
func keepUnknown(old, fresh []byte, of reflect.Type) []byte {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of.Implements(marshaler) || reflect.PointerTo(of).Implements(marshaler) {
		return fresh
	}
	var before, after map[string]json.RawMessage
	if json.Unmarshal(old, &before) != nil || json.Unmarshal(fresh, &after) != nil || after == nil {
		return fresh
	}
	known := knownFields(of)
	changed := false
	for name, value := range before {
		field, isKnown := known[strings.ToLower(name)] // as encoding/json finds them
		now, isThere := after[name]
		switch {
		case !isKnown:
			after[name] = value
			changed = true
		case isThere:
			if merged := keepUnknown(value, now, field); !bytes.Equal(merged, now) {
				after[name] = merged
				changed = true
			}
		}
	}
	if !changed {
		return fresh // in the order of its fields, as ever
	}
	merged, err := json.Marshal(after)
	if err != nil {
		return fresh
	}
	return merged
}

var marshaler = reflect.TypeFor[json.Marshaler]()

// knownFields are the types of a struct's fields by their names in JSON, in lower case.
func knownFields(of reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(of) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" || !field.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		all[strings.ToLower(name)] = field.Type
	}
	return all
}
