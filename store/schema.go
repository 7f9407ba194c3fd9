package store

import (
	"context"
	"fmt"
	"strconv"
)

// schemaVersion is the version of the records that this package reads and writes. It grows when a key
// or a field changes its name or meaning; a new field that may be missing is no new version.
const schemaVersion = 1

// migrations bring records from the version that is the map's key to the next one. A migration works in
// Updates of bounded size, so it can be interrupted: it must reach the same end when it begins again.
// The version is written after it has ended.
var migrations = map[int]func(context.Context, Engine) error{}

// migrate brings the records to the version want. An engine that was never written to gets that version
// at once.
func migrate(ctx context.Context, engine Engine, want int, steps map[int]func(context.Context, Engine) error) error {
	version, err := readSchema(ctx, engine)
	if err != nil {
		return err
	}
	if version == 0 {
		return writeSchema(ctx, engine, want)
	}
	if version > want {
		return fmt.Errorf("%w: the records have version %d and this xlb knows versions up to %d; start the newer xlb that wrote them, or restore an older copy",
			ErrSchema, version, want)
	}
	for ; version < want; version++ {
		step, known := steps[version]
		if !known {
			return fmt.Errorf("%w: no way from version %d to %d", ErrSchema, version, version+1)
		}
		if err := step(ctx, engine); err != nil {
			return fmt.Errorf("bring the records from version %d to %d: %w", version, version+1, err)
		}
		if err := writeSchema(ctx, engine, version+1); err != nil {
			return err
		}
	}
	return nil
}

// readSchema returns the version of the records, 0 for an engine that was never written to.
func readSchema(ctx context.Context, engine Engine) (version int, err error) {
	err = engine.View(ctx, func(r Reader) error {
		value, _, err := r.Get(key(kindMeta, "schema"))
		if isNotFound(err) {
			if r.Revision() > 0 {
				return fmt.Errorf("%w: there is data without a version, so xlb did not write it; use another directory", ErrSchema)
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
