package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// schemaVersion is the version of the records that this package reads and writes. It grows when a key
// or a field changes its name or meaning; a new field that may be missing is no new version.
const schemaVersion = 1

// oldestSchema is the oldest version that this package still reads and writes, for a time in which others know no newer one.
const oldestSchema = 1

// migrations bring records from the version that is the map's key to the next one. A migration works in
// Updates of bounded size, so it can be interrupted: it must reach the same end when it begins again.
// The version is written after it has ended.
var migrations = map[int]func(context.Context, Engine) error{}

// schemaRange is the versions that a node reads.
type schemaRange struct {
	Oldest int `json:"oldest"`
	Newest int `json:"newest"`
}

// node is who registers. There is one while an engine is for one process; each of several will have a name of its own.
const node = "server"

// schema is how a node brings records up to date.
type schema struct {
	node  string
	reads schemaRange
	steps map[int]func(context.Context, Engine) error
}

// migrate puts on record what this node reads, and brings the records to the newest version that all nodes on record read:
// a migration under a node that does not know the new form would break it. It returns the version that they have then. An
// engine that was never written to gets the newest at once.
func (s schema) migrate(ctx context.Context, engine Engine) (version int, err error) {
	version, err = readSchema(ctx, engine)
	if err != nil {
		return 0, err
	}
	switch {
	case version == 0:
		version = s.reads.Newest
		err = writeSchema(ctx, engine, version)
	case version > s.reads.Newest:
		err = fmt.Errorf("%w: the records have version %d and this xlb knows versions up to %d; start the newer xlb that wrote them, or restore an older copy",
			ErrSchema, version, s.reads.Newest)
	}
	if err != nil {
		return 0, err
	}
	if err := s.register(ctx, engine); err != nil {
		return 0, err
	}
	for ; version < s.reads.Newest; version++ {
		behind, err := behindOf(ctx, engine, version+1)
		if err != nil {
			return 0, err
		}
		if len(behind) > 0 && version >= s.reads.Oldest {
			return version, nil // the old form goes on until they can read the new one
		}
		if len(behind) > 0 {
			return 0, fmt.Errorf("%w: the records have version %d, which this xlb does not write, and %s read no newer one; bring those up to date first",
				ErrSchema, version, strings.Join(behind, ", "))
		}
		if err := s.step(ctx, engine, version); err != nil {
			return 0, err
		}
	}
	return version, nil
}

// step brings the records from a version to the next one.
func (s schema) step(ctx context.Context, engine Engine, version int) error {
	step, known := s.steps[version]
	if !known {
		return fmt.Errorf("%w: no way from version %d to %d", ErrSchema, version, version+1)
	}
	if err := step(ctx, engine); err != nil {
		return fmt.Errorf("bring the records from version %d to %d: %w", version, version+1, err)
	}
	return writeSchema(ctx, engine, version+1)
}

// register puts on record what this node reads.
func (s schema) register(ctx context.Context, engine Engine) error {
	text, err := json.Marshal(s.reads)
	if err != nil {
		return err
	}
	_, err = engine.Update(ctx, func(tx Txn) error {
		if old, _, err := tx.Get(key(kindReader, s.node)); err == nil && string(old) == string(text) {
			return nil
		}
		tx.Set(key(kindReader, s.node), text)
		return nil
	})
	if err != nil {
		return fmt.Errorf("register what is read: %w", err)
	}
	return nil
}

// behindOf lists the nodes on record that do not read a version.
func behindOf(ctx context.Context, engine Engine, version int) (behind []string, err error) {
	readers := map[string]schemaRange{}
	err = engine.View(ctx, func(r Reader) error {
		for item, err := range r.Scan(under(kindReader), "", 0) {
			if err != nil {
				return err
			}
			var reads schemaRange // one that nobody can read reads nothing
			_ = json.Unmarshal(item.Value, &reads)
			readers[below(item.Key)[0]] = reads
		}
		return nil
	})
	for _, name := range slices.Sorted(maps.Keys(readers)) {
		if readers[name].Newest < version {
			behind = append(behind, name)
		}
	}
	return behind, err
}

// readSchema returns the version of the records, 0 for an engine that has none.
func readSchema(ctx context.Context, engine Engine) (version int, err error) {
	err = engine.View(ctx, func(r Reader) error {
		value, _, err := r.Get(key(kindMeta, "schema"))
		if isNotFound(err) {
			for item, err := range r.Scan("", "", 1) {
				if err != nil {
					return err
				}
				return fmt.Errorf("%w: there is data (%s) without a version, so xlb did not write it; use another directory", ErrSchema, clip(item.Key, 40))
			}
			return nil
		}
		if err != nil {
			return err
		}
		version, err = strconv.Atoi(string(value))
		if err != nil || version < 1 {
			return fmt.Errorf("%w: the version is %q", ErrSchema, clip(string(value), 20))
		}
		return nil
	})
	return version, err
}

func writeSchema(ctx context.Context, engine Engine, version int) error {
	_, err := engine.Update(ctx, func(tx Txn) error {
		tx.Set(key(kindMeta, "schema"), []byte(strconv.Itoa(version)))
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the schema version: %w", err)
	}
	return nil
}
