// Compares what gosec found with the table of docs/security/findings.md: | rule | file or folder | how many | why |.
// A finding that no row covers, more of a kind than a row says, and a row that covers nothing are told, and fail.
import { readFileSync } from "node:fs";

const [report, table] = process.argv.slice(2);
const { Issues: issues, "Golang errors": errors } = JSON.parse(readFileSync(report, "utf8"));
const rows = readFileSync(table, "utf8")
  .split("\n")
  .map((line) => line.match(/^\| (G\d+) \| `([^`]+)` \| (\d+) \|/))
  .filter(Boolean)
  .map(([, rule, path, most]) => ({ rule, path, most: Number(most), found: [] }))
  .sort((a, b) => b.path.length - a.path.length); // the narrowest row counts
const bad = [];
for (const issue of issues ?? []) {
  const file = issue.file.slice(`${process.cwd()}/`.length);
  const row = rows.find((r) => r.rule === issue.rule_id && (file === r.path || file.startsWith(`${r.path}/`)));
  const at = `${file}:${issue.line}: ${issue.rule_id}: ${issue.details}`;
  if (row) row.found.push(at);
  else bad.push(at);
}
for (const r of rows) {
  if (r.found.length > r.most) bad.push(`${r.found.length} of ${r.rule} in ${r.path}, ${r.most} are explained:`, ...r.found);
  if (r.found.length === 0) bad.push(`no ${r.rule} in ${r.path} any more: take its row out of ${table}`);
}
for (const [file, list] of Object.entries(errors ?? {})) for (const e of list) bad.push(`${file}:${e.line}: ${e.error}`);
for (const line of bad) console.log(line);
process.exitCode = bad.length > 0 ? 1 : 0;
