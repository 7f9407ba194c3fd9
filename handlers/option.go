package handlers

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// optionObject is what the schema says of the object that stands before the dot in the fields of options.
type optionObject struct {
	doc       string
	component string // the name of its schema in answers
}

var optionObjects = map[string]optionObject{
	"routeTls": {"TLS to the routes", "RouteTLSBody"},
	"check":    {"How routes are looked at", "CheckBody"},
}

// optionPath takes a field apart; object is empty where there is none.
func optionPath(field string) (object, name string) {
	if object, name, nested := strings.Cut(field, "."); nested {
		return object, name
	}
	return "", field
}

// optionValues are options as a body has them, by field. What is absent is not in it, null is nil.
type optionValues map[string]any

// readOptionValues takes the options out of a body. Whatever else is in it is the caller's.
func readOptionValues(body []byte) (optionValues, error) {
	objects := map[string]map[string]json.RawMessage{}
	var own map[string]json.RawMessage
	if err := json.Unmarshal(body, &own); err != nil {
		return nil, err
	}
	objects[""] = own
	for object := range optionObjects {
		var members map[string]json.RawMessage
		if raw, given := own[object]; given {
			if err := json.Unmarshal(raw, &members); err != nil {
				return nil, err
			}
		}
		objects[object] = members
	}
	values := optionValues{}
	for _, o := range control.OptionTable {
		object, name := optionPath(o.Field)
		raw, given := objects[object][name]
		switch {
		case o.ReadOnly:
		case given && string(raw) != "null":
			value, err := optionValue(o, raw)
			if err != nil {
				return nil, err
			}
			values[o.Field] = value
		case given, object != "" && string(own[object]) == "null": // null instead of an object: all of it
			values[o.Field] = nil
		}
	}
	return values, nil
}

func optionValue(o control.Option, raw json.RawMessage) (any, error) {
	value := reflect.New(reflect.TypeOf(o.Value(&control.FrontendSpec{})))
	err := json.Unmarshal(raw, value.Interface())
	return value.Elem().Interface(), err
}

// into changes spec to what the values say.
func (v optionValues) into(spec *control.FrontendSpec) {
	for _, o := range control.OptionTable {
		if value, said := v[o.Field]; said {
			o.Set(spec, value)
		}
	}
}

// appendOptions adds the options to a JSON object that has a member already.
func appendOptions(object []byte, spec *control.FrontendSpec) ([]byte, error) {
	return appendSomeOptions(object, spec, func(control.Option) bool { return true })
}

// appendSomeOptions adds those that are wanted.
func appendSomeOptions(object []byte, spec *control.FrontendSpec, wanted func(control.Option) bool) ([]byte, error) {
	b := bytes.NewBuffer(bytes.TrimSuffix(object, []byte("}")))
	inside := ""
	for _, o := range control.OptionTable {
		if o.WriteOnly || !wanted(o) {
			continue
		}
		object, name := optionPath(o.Field)
		before := ","
		if object != inside && inside != "" {
			b.WriteByte('}')
		}
		if object != inside && object != "" {
			b.WriteString(`,"` + object + `":`)
			before = "{"
		}
		inside = object
		value, err := json.Marshal(o.Value(spec))
		if err != nil {
			return nil, err
		}
		b.WriteString(before + `"` + name + `":`)
		b.Write(value)
	}
	if inside != "" {
		b.WriteByte('}')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// addOptions adds the options that a body may have to its schema.
func addOptions(body *huma.Schema) {
	for _, o := range control.OptionTable {
		if o.ReadOnly {
			continue
		}
		into := body
		object, name := optionPath(o.Field)
		if object != "" {
			if body.Properties[object] == nil {
				body.Properties[object] = objectSchema(optionObjects[object].doc)
			}
			into = body.Properties[object]
		}
		schema := optionSchema(o)
		schema.Description = optionDoc(o)
		schema.Nullable = true
		if !o.WriteOnly {
			schema.Extensions["default"] = orZero(o)
		}
		if choices, ok := schema.Extensions["enum"].([]any); ok {
			schema.Extensions["enum"] = append(choices, nil)
		}
		into.Properties[name] = schema
	}
}

// addOptionsOf adds the options that an answer has to its schema, all of them.
func addOptionsOf(r huma.Registry, body *huma.Schema) {
	for _, o := range control.OptionTable {
		if o.WriteOnly {
			continue
		}
		into := body
		object, name := optionPath(o.Field)
		if object != "" {
			component := optionObjects[object].component
			if r.Map()[component] == nil {
				r.Map()[component] = objectSchema("")
				r.Map()[component].Nullable = false
			}
			if body.Properties[object] == nil {
				body.Properties[object] = &huma.Schema{Ref: "#/components/schemas/" + component}
				body.Required = append(body.Required, object)
			}
			into = r.Map()[component]
		}
		schema := optionSchema(o)
		if o.ReadOnly {
			schema.Description = optionDoc(o)
		}
		into.Properties[name] = schema
		into.Required = append(into.Required, name)
	}
}

func objectSchema(doc string) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Description: doc, Nullable: true, AdditionalProperties: false, Properties: map[string]*huma.Schema{},
	}
}

// optionDoc is what an option does, with what 0 stands for.
func optionDoc(o control.Option) string {
	if o.Zero == "" {
		return o.Doc
	}
	return o.Doc + "; 0 is " + o.Zero
}

func orZero(o control.Option) any {
	if o.Default == nil {
		return o.Value(&control.FrontendSpec{})
	}
	return o.Default
}

// optionSchema is type, bounds and choices of an option. These stand among the extensions, which are written
// like any other part and not checked: control refuses with words that say how to mend it.
func optionSchema(o control.Option) *huma.Schema {
	s := &huma.Schema{Extensions: map[string]any{}}
	switch o.Value(&control.FrontendSpec{}).(type) {
	case int64:
		s.Type = huma.TypeInteger
		s.Format = "int64"
		s.Extensions["minimum"] = o.Low
		s.Extensions["maximum"] = o.High
	case bool:
		s.Type = huma.TypeBoolean
	default:
		s.Type = huma.TypeString
		if o.High > 0 {
			s.Extensions["maxLength"] = o.High
		}
		if len(o.Choices) > 0 {
			s.Extensions["enum"] = anySlice(o.Choices)
		}
	}
	return s
}

func anySlice(texts []string) []any {
	all := make([]any, 0, len(texts))
	for _, text := range texts {
		all = append(all, text)
	}
	return all
}
