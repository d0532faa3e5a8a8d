// Shows the API's OpenAPI document at /docs. No framework and no other host: the page must work offline and
// under the strict content security policy.
const el = (tag, attrs = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs)) node.setAttribute(k, v);
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
};

const slug = (s) => s.toLowerCase().replace(/[^a-z0-9]+/g, "-");

function resolve(doc, schema) {
  if (!schema?.$ref) return schema;
  return doc.components.schemas[schema.$ref.split("/").pop()];
}

function typeOf(doc, schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const type = [schema.type].flat().filter(Boolean).join(" | ");
  if ([schema.type].flat().includes("array")) return `${typeOf(doc, schema.items)}[]`;
  return schema.format ? `${type} (${schema.format})` : type || "any";
}

// schemaTable lists an object's properties; objects inside open on demand, and never inside themselves.
function schemaTable(doc, schema, seen = []) {
  const s = resolve(doc, schema);
  if (!s) return null;
  if ([s.type].flat().includes("array")) return schemaTable(doc, s.items, seen);
  if (!s.properties) return el("p", {}, typeOf(doc, s));
  const rows = Object.entries(s.properties).map(([name, p]) => {
    const inner = p.$ref ?? p.items?.$ref;
    const nested = (inner && !seen.includes(inner)) || p.properties || p.items?.properties;
    const more = nested
      ? el("details", {}, el("summary", {}, typeOf(doc, p)), schemaTable(doc, p, [...seen, inner]) ?? "")
      : document.createTextNode(typeOf(doc, p));
    const values = p.enum ? ` One of: ${p.enum.join(", ")}.` : "";
    return el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("code", {}, name),
        s.required?.includes(name) ? el("span", { class: "req" }, " required") : null,
      ),
      el("td", {}, more),
      el("td", {}, (p.description ?? "") + values),
    );
  });
  return el("table", {}, el("tbody", {}, ...rows));
}

function operation(doc, method, path, op) {
  const id = slug(op.operationId);
  const section = el("article", { id }, el("h3", {}, el("a", { href: `#${id}` }, op.summary ?? op.operationId)));
  section.append(
    el("p", { class: "route" }, el("b", { class: method }, method.toUpperCase()), " ", el("code", {}, path)),
  );
  const permission = op["x-permission"];
  section.append(el("p", { class: "who" }, permission ? `Needs the permission ${permission}.` : "Open to everybody."));
  if (op.description) section.append(el("p", {}, op.description));
  if (op.parameters?.length) {
    const rows = op.parameters.map((p) =>
      el(
        "tr",
        {},
        el(
          "th",
          { scope: "row" },
          el("code", {}, p.name),
          p.required ? el("span", { class: "req" }, " required") : null,
        ),
        el("td", {}, `${typeOf(doc, p.schema)} in ${p.in}`),
        el("td", {}, p.description ?? p.schema?.description ?? ""),
      ),
    );
    section.append(el("h4", {}, "Parameters"), el("table", {}, el("tbody", {}, ...rows)));
  }
  for (const [type, media] of Object.entries(op.requestBody?.content ?? {})) {
    section.append(el("h4", {}, `Body, ${type}`), schemaTable(doc, media.schema) ?? "");
  }
  for (const [status, answer] of Object.entries(op.responses ?? {})) {
    const types = Object.entries(answer.content ?? {});
    section.append(el("h4", {}, `${status === "default" ? "Any error" : status} ${answer.description ?? ""}`));
    for (const [type, media] of types) {
      section.append(el("details", {}, el("summary", {}, type), schemaTable(doc, media.schema) ?? ""));
    }
  }
  return section;
}

async function main() {
  const root = document.getElementById("docs");
  try {
    const answer = await fetch("/api/openapi.json");
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const doc = await answer.json();
    const tags = new Map();
    for (const [path, methods] of Object.entries(doc.paths)) {
      for (const [method, op] of Object.entries(methods)) {
        const tag = op.tags?.[0] ?? "Other";
        if (!tags.has(tag)) tags.set(tag, []);
        tags.get(tag).push([method, path, op]);
      }
    }
    const nav = el("nav", { "aria-label": "Operations" });
    const main = el("main", {}, el("h1", {}, `${doc.info.title} API`), el("p", {}, doc.info.description ?? ""));
    main.append(
      el(
        "p",
        {},
        "For programs: ",
        el("a", { href: "/api/openapi.json" }, "openapi.json"),
        " and ",
        el("a", { href: "/api/openapi.yaml" }, "openapi.yaml"),
        ".",
      ),
    );
    for (const [tag, ops] of [...tags].sort(([a], [b]) => a.localeCompare(b))) {
      const list = el("ul");
      main.append(el("h2", { id: `tag-${slug(tag)}` }, tag));
      for (const [method, path, op] of ops) {
        list.append(el("li", {}, el("a", { href: `#${slug(op.operationId)}` }, op.summary ?? op.operationId)));
        main.append(operation(doc, method, path, op));
      }
      nav.append(el("h2", {}, tag), list);
    }
    root.replaceChildren(nav, main);
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  } catch (err) {
    root.replaceChildren(
      el(
        "main",
        {},
        el("h1", {}, "The API's document did not load"),
        el(
          "p",
          {},
          `${err.message}. Reload the page, or open `,
          el("a", { href: "/api/openapi.json" }, "/api/openapi.json"),
          ".",
        ),
      ),
    );
  }
}

main();
