// SPDX-License-Identifier: Apache-2.0

package kernels

// changes are the releases with which the changes of some probes came: first that of the main
// line, then updates of older series. The sources are those of the probes. There is none for a
// change that came and was taken back, or whose releases are not all known. K8, K26 and K50 are in
// 6.17.8; which update of 6.17 took them over is not known.
var changes = map[string]string{
	"K8":  "6.18 6.17.8",
	"K11": "6.3 6.1.32",
	"K12": "6.12 6.11.3 6.1.113 5.10.227",
	"K13": "6.13 6.12.9 6.1.124",
	"K15": "6.13 6.12.10 6.1.125 5.10.234",
	"K19": "6.5",
	"K23": "6.7 6.6.11 6.1.72",
	"K25": "6.14",
	"K26": "6.18 6.17.8 6.12.53 6.1.156 5.10.246",
	"K29": "6.11 6.10.8 6.1.132",
	"K30": "6.11 6.10.10 6.1.110",
	"K31": "6.0",
	"K36": "6.5 6.1.59",
	"K38": "6.9",
	"K39": "6.4 6.1.33 5.10.183",
	"K44": "6.15",
	"K50": "6.18 6.17.8 6.12.53 6.1.156",
}
