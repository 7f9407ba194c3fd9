package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// auditedTxn remembers what records were before a transaction touched them.
type auditedTxn struct {
	Txn
	before map[string][]byte // of each record that was touched; nil: it was not there
	failed error             // of reading one of them
}

// auditedKinds are the records whose changes are written down. What else a transaction touches follows from these.
var auditedKinds = []string{kindClient, kindFrontend, kindCertificate, kindInvite, kindSession, kindAuthorities}

// Set implements Txn.
func (a *auditedTxn) Set(key string, value []byte) {
	a.touch(key)
	a.Txn.Set(key, value)
}

// Delete implements Txn.
func (a *auditedTxn) Delete(key string) {
	a.touch(key)
	a.Txn.Delete(key)
}

func (a *auditedTxn) touch(key string) {
	kind, _, _ := strings.Cut(key, "/")
	if _, known := a.before[key]; known || !slices.Contains(auditedKinds, kind) {
		return
	}
	value, _, err := a.Txn.Get(key)
	if err != nil && !isNotFound(err) {
		a.failed = errors.Join(a.failed, err)
		return
	}
	if a.before == nil {
		a.before = map[string][]byte{}
	}
	a.before[key] = value
}

// changes lists the records that are different now, in the order of their keys.
func (a *auditedTxn) changes() ([]AuditChange, error) {
	if a.failed != nil {
		return nil, a.failed
	}
	var all []AuditChange
	for _, key := range slices.Sorted(maps.Keys(a.before)) {
		after, _, err := a.Txn.Get(key)
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		was, is, err := difference(a.before[key], after)
		if err != nil {
			return nil, err
		}
		if len(was)+len(is) == 0 {
			continue
		}
		parts := strings.Split(key, "/")
		all = append(all, AuditChange{Kind: parts[0], ID: auditID(parts), Before: was, After: is})
	}
	return all, nil
}

// auditID is how people name a record: what follows its client, without the authority of a certificate.
func auditID(parts []string) string {
	if parts[0] == kindClient || parts[0] == kindInvite || parts[0] == kindAuthorities {
		return parts[1]
	}
	if parts[0] == kindSession {
		return clip(parts[2], 12) // its hash opens nothing, and is long
	}
	return parts[2]
}

// secrets are the fields of which only is written that they have changed.
var secrets = []string{"keyhash", "oldkeyhash", "codehash", "idhash", "hash", "key", "sessionkept"}

// uncounted are fields of records that change by themselves.
var uncounted = []string{"frontends", "updatedat"}

// changed stands for the value of a secret.
var changed = json.RawMessage(`"changed"`)

// difference lists the fields of two JSON objects that differ. Objects and lists inside are gone through:
// options.check.kind, routes[0].dest.
func difference(before, after []byte) (was, is map[string]json.RawMessage, err error) {
	was = map[string]json.RawMessage{}
	is = map[string]json.RawMessage{}
	old, err := flat(before)
	if err != nil {
		return nil, nil, err
	}
	fresh, err := flat(after)
	if err != nil {
		return nil, nil, err
	}
	for name, value := range old {
		if !bytes.Equal(value, fresh[name]) {
			was[name] = told(name, value)
		}
	}
	for name, value := range fresh {
		if !bytes.Equal(value, old[name]) {
			is[name] = told(name, value)
		}
	}
	return was, is, nil
}

func told(name string, value json.RawMessage) json.RawMessage {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if slices.Contains(secrets, last) {
		return changed
	}
	return value
}

// flat reads an object, nil as one without fields.
func flat(data []byte) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	return all, flatten(all, "", data)
}

func flatten(into map[string]json.RawMessage, prefix string, data []byte) error {
	if data == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for name, value := range fields {
		if prefix == "" && slices.Contains(uncounted, name) {
			continue
		}
		if err := flattenValue(into, prefix+name, value); err != nil {
			return err
		}
	}
	return nil
}

// flattenValue adds a value under its name; what is in an object or a list has a name of its own.
func flattenValue(into map[string]json.RawMessage, name string, value json.RawMessage) error {
	switch {
	case bytes.HasPrefix(value, []byte("{")):
		return flatten(into, name+".", value)
	case bytes.HasPrefix(value, []byte("[")):
		var items []json.RawMessage
		if err := json.Unmarshal(value, &items); err != nil {
			return err
		}
		for i, item := range items {
			if err := flattenValue(into, fmt.Sprintf("%s[%d]", name, i), item); err != nil {
				return err
			}
		}
	case !bytes.Equal(value, []byte("null")):
		into[name] = value
	}
	return nil
}
