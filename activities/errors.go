// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"errors"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Interceptor translates the kinds of error into Temporal application errors,
// in one place for every activity: the type is the kind's name (stored in
// clear, so it carries no data), the message the public text (encrypted by the
// failure converter), and whether to try again follows from the kind.
type Interceptor struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (*Interceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &activityErrors{}
	i.Next = next
	return i
}

type activityErrors struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity runs the activity, whose audit events then name the workflow
// and its run, and translates its error.
func (i *activityErrors) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	story := activity.GetInfo(ctx).WorkflowExecution
	ctx = store.WithOrigin(ctx, store.Origin{WorkflowID: story.ID, RunID: story.RunID})
	result, err := i.Next.ExecuteActivity(ctx, in)
	if err == nil {
		return result, nil
	}
	activity.GetLogger(ctx).Warn("activity ended with an error", "kind", models.KindOf(err).String(), "error", err.Error())
	translated := TemporalError(err)
	var application *temporal.ApplicationError
	if models.KindOf(err) == models.KindInternal && activity.GetInfo(ctx).Attempt >= internalAttempts && errors.As(translated, &application) {
		return result, temporal.NewNonRetryableApplicationError(application.Message(), application.Type(), nil)
	}
	return result, translated
}

// internalAttempts bounds how often a step that fails by our fault is repeated
// (design §6): about ten minutes, with the intervals of package workflows.
// After that its story ends, with the reason, instead of lasting for ever.
const internalAttempts = 20

// retryable says whether an activity that ended with a kind may succeed later.
var retryable = map[models.Kind]bool{
	models.KindInternal:    true,
	models.KindLimited:     true,
	models.KindUnavailable: true,
}

// TemporalError translates err. Errors that are Temporal's own, such as a
// cancellation, pass unchanged.
func TemporalError(err error) error {
	var own *temporal.CanceledError
	var application *temporal.ApplicationError
	if errors.As(err, &own) || errors.As(err, &application) || errors.Is(err, context.Canceled) {
		return err
	}
	kind := models.KindOf(err)
	return temporal.NewApplicationErrorWithOptions(models.PublicText(err), kind.String(), temporal.ApplicationErrorOptions{
		NonRetryable:   !retryable[kind],
		NextRetryDelay: models.RetryAfter(err),
	})
}

// KindOf is the inverse of TemporalError: it gives back the kind and public
// text of an error that came through Temporal.
func KindOf(err error) (models.Kind, string) {
	var application *temporal.ApplicationError
	if errors.As(err, &application) {
		return models.ParseKind(application.Type()), application.Message()
	}
	return models.KindOf(err), models.PublicText(err)
}
