// SPDX-License-Identifier: Apache-2.0

// Package scorecard holds the verdicts of checks about a subject. It writes them as
// JSON for programs, as Markdown for the summary of a pipeline, and as a table for the
// terminal; it reads them, merges the cards of several runs, and compares two cards. It
// does not know what the checks do.
package scorecard
