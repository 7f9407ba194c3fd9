package store

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// set writes a record as JSON. Field names are part of the schema: to rename one is a migration, to
// add one is not. Fields that a later xlb has written and this one does not know stay.
func set(tx Txn, key string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	switch old, _, err := tx.Get(key); {
	case err == nil:
		data = keepUnknown(old, data, reflect.TypeOf(record))
	case !isNotFound(err):
		return err
	}
	tx.Set(key, data)
	return nil
}

// getter is what Reader and Txn have in common.
type getter interface {
	Get(key string) ([]byte, uint64, error)
}

// versioned is a record that carries the revision that wrote it.
type versioned interface{ setRevision(rev uint64) }

// get reads a record. The zero value comes with every error.
func get[T any](from getter, key string) (T, error) {
	var zero T
	data, rev, err := from.Get(key)
	if err != nil {
		return zero, err
	}
	return decode[T](key, data, rev)
}

func decode[T any](key string, data []byte, rev uint64) (T, error) {
	var record, zero T
	if err := json.Unmarshal(data, &record); err != nil {
		return zero, fmt.Errorf("decode %s: %w: %v", key, ErrUnreadable, err)
	}
	if v, ok := any(&record).(versioned); ok {
		v.setRevision(rev)
	}
	return record, nil
}

// list reads the records under a prefix that come after a key, without those that cannot be read: one of them must not
// take the others along. Snapshot tells which they are.
func list[T any](r Reader, prefix, after string, limit int) ([]T, error) {
	return listReadable[T](r, prefix, after, limit, func(string) {})
}

// listReadable is list that tells the keys of the records that it leaves out.
func listReadable[T any](r Reader, prefix, after string, limit int, unreadable func(key string)) ([]T, error) {
	var all []T
	for item, err := range r.Scan(prefix, after, 0) { // without a limit, as the ones that are left out do not count
		if err != nil {
			return nil, err
		}
		record, err := decode[T](item.Key, item.Value, item.Revision)
		if err != nil {
			unreadable(item.Key)
			continue
		}
		if all = append(all, record); len(all) == limit {
			break
		}
	}
	return all, nil
}
