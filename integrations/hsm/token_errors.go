// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/thales-e-security/pool"

	"github.com/trustloom/trustloom/models"
)

var (
	errAway           = errors.New("the token does not show that it is there")
	errRetired        = errors.New("the token was closed meanwhile")
	errWrongSignature = errors.New("the token returned a signature that does not verify")
)

// is reports whether err is one of the module's return values codes.
func is(err error, codes ...pkcs11.Error) bool {
	var code pkcs11.Error
	return errors.As(err, &code) && slices.Contains(codes, code)
}

// isPINError reports return values that another login attempt makes worse.
func isPINError(err error) bool {
	return is(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED,
		pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE)
}

// PINRefused reports whether an error of a PKCS11 store comes from its token
// having refused the PIN. Whoever opens the store anew with the same PIN brings
// the token closer to locking itself.
func PINRefused(err error) bool { return isPINError(err) }

// isBusy reports that all sessions are in use.
func isBusy(err error) bool {
	return errors.Is(err, pool.ErrTimeout) ||
		is(err, pkcs11.CKR_SESSION_COUNT, pkcs11.CKR_SESSION_PARALLEL_NOT_SUPPORTED)
}

// isUnsupported reports that the token cannot do what was asked of it.
func isUnsupported(err error) bool {
	return is(err, pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_KEY_SIZE_RANGE,
		pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID,
		pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_TEMPLATE_INCOMPLETE, pkcs11.CKR_DOMAIN_PARAMS_INVALID,
		pkcs11.CKR_CURVE_NOT_SUPPORTED, pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_DATA_LEN_RANGE)
}

// isFull reports that the token takes no more keys.
func isFull(err error) bool {
	return is(err, pkcs11.CKR_DEVICE_MEMORY, pkcs11.CKR_TOKEN_WRITE_PROTECTED, pkcs11.CKR_SESSION_READ_ONLY)
}

// lost reports whether err may go away when the token is opened again: the
// token was away, a handle is stale or addresses another key, a session is
// spoilt. crypto11 puts broken sessions back into its pool and keeps handles,
// so it never recovers from any of these itself.
func (s *PKCS11) lost(conn *connection, err error) bool {
	return conn.retired.Load() || errors.Is(err, errRetired) || errors.Is(err, errWrongSignature) ||
		(errors.Is(err, errAway) && !isBusy(err)) ||
		is(err, pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID,
			pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_SLOT_ID_INVALID,
			pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT,
			pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED,
			pkcs11.CKR_FUNCTION_CANCELED, pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
			pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_OPERATION_ACTIVE, pkcs11.CKR_OPERATION_NOT_INITIALIZED)
}

// translate gives an error of the module its kind. An error that has one
// keeps it.
func (s *PKCS11) translate(err error) error {
	var classified *models.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &classified):
		return err
	case isBusy(err):
		return models.Errorf(models.KindUnavailable, "all sessions of the PKCS#11 token %q are in use",
			s.cfg.name()).After(time.Second).Because(err)
	case isUnsupported(err):
		return models.Errorf(models.KindInvalid, "the PKCS#11 token %q cannot do this", s.cfg.name()).Because(err)
	case errors.Is(err, errWrongSignature):
		return models.Errorf(models.KindInternal, "the PKCS#11 token %q signs wrongly", s.cfg.name()).Because(err)
	case isFull(err):
		return models.Errorf(models.KindUnavailable, "the PKCS#11 token %q takes no more keys", s.cfg.name()).Because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return models.Errorf(models.KindUnavailable, "the key store was not given the time it needs").Because(err)
	case isPINError(err), errors.Is(err, errAway), s.lost(&connection{}, err):
		return s.unavailable(err)
	default:
		return models.Errorf(models.KindInternal, "the PKCS#11 token %q failed", s.cfg.name()).Because(err)
	}
}

func (s *PKCS11) unavailable(err error) error {
	return models.Errorf(models.KindUnavailable, "the PKCS#11 token %q does not work at the moment",
		s.cfg.name()).After(s.cfg.ReopenInterval).Because(err)
}
