// SPDX-License-Identifier: MIT

package auth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// AdminName is the name of the first operator and of its token.
const AdminName = "admin"

// Bootstrap gives an empty store its first operator, admin, whose token it
// writes to tokenFile (mode 0600). It reports whether it did.
//
// On a store that has any token it does nothing. The file is written first: a
// start that was interrupted in between, and a second process that starts at
// the same time, find the file and use the token that is in it.
func Bootstrap(ctx context.Context, s *store.Store, tokenFile string) (created bool, err error) {
	tokens, _, err := s.ListTokens(ctx, store.Page{Limit: 1})
	if err != nil || len(tokens) > 0 {
		return false, err
	}
	token, err := ensureTokenFile(tokenFile)
	if err != nil {
		return false, err
	}
	if !wellFormed(token) {
		return false, models.Errorf(models.KindInvalid, "%s does not hold a token; remove it to get a new one", tokenFile)
	}
	err = s.Write(ctx, func(tx *store.Tx) error { return insertAdmin(tx, HashToken(token)) })
	if models.KindOf(err) != models.KindConflict || err == nil {
		return err == nil, err
	}
	// Another process was faster. The token in the file is good only if that
	// process used the same file; a token that is good for nothing only misleads.
	_, err = s.FindTokenByHash(ctx, HashToken(token))
	if models.KindOf(err) == models.KindUnauthenticated || models.KindOf(err) == models.KindNotFound {
		return false, os.Remove(tokenFile)
	}
	return false, err
}

func insertAdmin(tx *store.Tx, hash string) error {
	operator := &models.Operator{ID: models.NewID[models.OperatorID](), Name: AdminName}
	if err := tx.InsertOperator(operator); err != nil {
		return err
	}
	token := &models.Token{
		ID: models.NewID[models.TokenID](), Name: AdminName, OperatorID: operator.ID, Role: models.RoleAdmin, Hash: hash,
	}
	if err := tx.InsertToken(token); err != nil {
		return err
	}
	return tx.Audit(models.Event{
		Actor: "system", Action: "token.created", Noun: "token", SubjectID: string(token.ID),
		Details: map[string]string{"name": token.Name, "operator": operator.Name, "role": string(token.Role)},
	})
}

// ensureTokenFile returns the token in the file, which it creates if there is
// none. A hard link makes the complete file appear at once or not at all.
func ensureTokenFile(path string) (string, error) {
	if token, err := readTokenFile(path); !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".token-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("create token file: %w", err)
	}
	defer os.Remove(temp.Name())
	token, _ := NewToken()
	_, err = temp.WriteString(token + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return "", fmt.Errorf("write token file: %w", err)
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("create token file: %w", err)
	}
	return readTokenFile(path)
}

func readTokenFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open token file: %w", err)
	}
	defer f.Close()
	buf := make([]byte, 256)
	n, err := f.Read(buf)
	if err != nil {
		return "", fmt.Errorf("read token file: %w", err)
	}
	return strings.TrimSpace(string(buf[:n])), nil
}
