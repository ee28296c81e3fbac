// SPDX-License-Identifier: Apache-2.0

// Package report makes one self-contained page of HTML of cards and recordings: the verdicts of a
// card, and for each recording a picture of what happened in the lab.
//
// The page is one file. It needs no network and no server, works from file://, and runs no script
// but its own, which its Content-Security-Policy names by hash. What subjects wrote is data in it
// and never markup; what is not printable is spelled out.
//
// The sources of the page are in assets/: a template, a style sheet, and scripts of one purpose
// each, which are joined as they are.
package report
