// Package scorecard holds what named checks say about a subject, and shows it:
// as JSON for programs, as Markdown for a pipeline's summary, as a table for the
// terminal. It knows nothing of what the checks do.
package scorecard
