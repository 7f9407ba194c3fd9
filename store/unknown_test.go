package store

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// What a later xlb has written beside what this one knows is still there after this one has changed the record.
func TestUnknownFieldsAreKept(t *testing.T) {
	engine := openEngine(t)
	type inner struct {
		A int `json:"a"`
	}
	type record struct {
		Name    string    `json:"name"`
		Gone    string    `json:"gone,omitempty"`
		Inner   inner     `json:"inner"`
		Pointer *inner    `json:"pointer,omitempty"`
		At      time.Time `json:"at"`
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	write := func(r record) (stored map[string]any) {
		t.Helper()
		if _, err := engine.Update(t.Context(), func(tx Txn) error { return set(tx, "x/1", r) }); err != nil {
			t.Fatal(err)
		}
		err := engine.View(t.Context(), func(r Reader) error {
			text, _, err := r.Get("x/1")
			if err != nil {
				return err
			}
			return json.Unmarshal(text, &stored)
		})
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	write(record{Name: "one"}) // nothing before it
	_, err := engine.Update(t.Context(), func(tx Txn) error {
		tx.Set("x/1", []byte(`{"name":"one","gone":"soon","future":{"x":[1,2]},"inner":{"a":1,"later":true},"pointer":{"a":2,"later":7},"at":"2026-01-02T03:04:05Z"}`))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := write(record{Name: "two", Inner: inner{A: 3}, Pointer: &inner{A: 4}, At: at})
	want := map[string]any{
		"name": "two", "future": map[string]any{"x": []any{1.0, 2.0}}, "inner": map[string]any{"a": 3.0, "later": true},
		"pointer": map[string]any{"a": 4.0, "later": 7.0}, "at": "2026-01-02T03:04:05Z",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got = write(record{Name: "three", At: at})
	delete(want, "pointer")
	want["name"] = "three"
	want["inner"] = map[string]any{"a": 0.0, "later": true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("without the pointer: got %v, want %v", got, want)
	}
}

// Every record that is stored keeps them, in its options too.
func TestUnknownFieldsOfAFrontendAreKept(t *testing.T) {
	s, engine := openStore(t)
	addClients(t, s, "c")
	f := Frontend{ClientID: "c", UUID: "f", AccessKey: "k", Name: "orders", Options: &Options{QueueLimit: 5}}
	if _, err := s.CreateFrontend(t.Context(), f, 0); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Update(t.Context(), func(tx Txn) error {
		text, _, err := tx.Get(key(kindFrontend, "c", "f"))
		if err != nil {
			return err
		}
		var raw map[string]any
		if err := json.Unmarshal(text, &raw); err != nil {
			return err
		}
		raw["future"] = "yes"
		raw["options"].(map[string]any)["future"] = "too"
		text, err = json.Marshal(raw)
		tx.Set(key(kindFrontend, "c", "f"), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.UpdateFrontend(t.Context(), "c", "f", func(f *Frontend) error { f.Name = "renamed"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	err = engine.View(t.Context(), func(r Reader) error {
		text, _, err := r.Get(key(kindFrontend, "c", "f"))
		if err != nil {
			return err
		}
		var raw map[string]any
		if err := json.Unmarshal(text, &raw); err != nil {
			return err
		}
		if raw["name"] != "renamed" || raw["future"] != "yes" || raw["options"].(map[string]any)["future"] != "too" {
			t.Errorf("got %s, want the new name and both fields of the future", text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
