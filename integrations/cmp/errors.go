// SPDX-License-Identifier: MIT

package cmp

import (
	"errors"

	"github.com/trustloom/trustloom/models"
)

// failInfos translates the kinds of error (design §6, column CMP). What knows
// better says so by WithFailInfo.
var failInfos = map[models.Kind]FailInfo{
	models.KindInternal:        FailSystemFailure,
	models.KindInvalid:         FailBadDataFormat,
	models.KindUnauthenticated: FailBadMessageCheck,
	models.KindDenied:          FailNotAuthorized,
	models.KindNotFound:        FailBadCertID,
	models.KindConflict:        FailTransactionIDInUse,
	models.KindLimited:         FailSystemUnavail,
	models.KindUnavailable:     FailSystemUnavail,
}

// refusal is an error that names its PKIFailureInfo.
type refusal struct {
	info FailInfo
	err  error
}

// Error implements error.
func (r *refusal) Error() string { return r.info.String() + ": " + r.err.Error() }

// Unwrap gives the models.Error behind it.
func (r *refusal) Unwrap() error { return r.err }

// WithFailInfo returns err with the failInfo that an error message about it
// shall have. It changes neither its kind nor its text.
func WithFailInfo(err error, info FailInfo) error {
	if err == nil {
		return nil
	}
	return &refusal{info: info, err: err}
}

// FailInfoOf returns the failInfo for an error: the one given to it, or that
// of its kind. It is 0 for nil.
func FailInfoOf(err error) FailInfo {
	if err == nil {
		return 0
	}
	var r *refusal
	if errors.As(err, &r) {
		return r.info
	}
	return failInfos[models.KindOf(err)]
}

// refuse returns an error of a kind with the failInfo for it.
func refuse(info FailInfo, kind models.Kind, format string, args ...any) error {
	return WithFailInfo(models.Errorf(kind, format, args...), info)
}

// malformed is what is wrong with the encoding of a message.
func malformed(format string, args ...any) error {
	return refuse(FailBadDataFormat, models.KindInvalid, format, args...)
}
