import { MantineProvider } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";
import { ApiError } from "../api/client";
import { Editing, unlessChanged } from "./Editing";
import { labelCells } from "./Listing";
import { Cancelled } from "./notify";

/** A server that keeps one thing, and compares tags as ours does. */
function server(name: string, note = "") {
  const state = { name, note, version: 1 };
  return {
    state,
    read: async () => ({ value: { name: state.name, note: state.note }, tag: `v${state.version}` }),
    change: (part: Partial<typeof state>) => {
      Object.assign(state, part);
      state.version++;
    },
    write(tag: string, part: Partial<typeof state>) {
      if (tag !== `v${state.version}`) throw new ApiError(412, "changed", "It was changed since you read it.");
      this.change(part);
      return state.version;
    },
  };
}

function Form({ on }: { on: ReturnType<typeof server> }) {
  return (
    <MantineProvider>
      <QueryClientProvider client={new QueryClient()}>
        <ModalsProvider>
          <Editing of={["thing"]} read={on.read}>
            {(begun) => (
              <>
                <p>Begun from {begun.value.name}</p>
                <button
                  type="button"
                  onClick={() =>
                    void begun
                      .save({ name: "Mine" }, async (tag) => on.write(tag, { name: "Mine" }))
                      .catch((e) => expect(e).toBeInstanceOf(Cancelled))
                  }
                >
                  Save
                </button>
              </>
            )}
          </Editing>
        </ModalsProvider>
      </QueryClientProvider>
    </MantineProvider>
  );
}

describe("changing what somebody else changed meanwhile", () => {
  it("shows both and writes one's own over it when one says so", async () => {
    const on = server("First");
    render(<Form on={on} />);
    await screen.findByText("Begun from First");
    on.change({ name: "Theirs" });
    await userEvent.click(screen.getByRole("button", { name: "Save" }));
    await screen.findByText("Somebody else changed this meanwhile");
    expect(await screen.findByText("Theirs", { selector: "td" })).toBeTruthy();
    expect(on.state.name).toBe("Theirs");
    await userEvent.click(screen.getByRole("button", { name: "Keep yours" }));
    await expect.poll(() => on.state.name).toBe("Mine");
  });
  it("begins anew from theirs when one takes it", async () => {
    const on = server("First");
    render(<Form on={on} />);
    await screen.findByText("Begun from First");
    on.change({ name: "Theirs" });
    await userEvent.click(screen.getByRole("button", { name: "Save" }));
    await userEvent.click(await screen.findByRole("button", { name: "See theirs, drop yours" }));
    expect(await screen.findByText("Begun from Theirs")).toBeTruthy();
    expect(on.state.name).toBe("Theirs");
  });
  it("asks nothing when the other changed something else, and asks again for each further change", async () => {
    const on = server("First");
    const asked: unknown[] = [];
    const attempt = (tag: string) =>
      unlessChanged({
        tag,
        write: async (t) => on.write(t, { name: "Mine" }),
        read: on.read,
        differ: (theirs) => (theirs.name === "First" ? [] : [{ path: "name", before: theirs.name, after: "Mine" }]),
        take: () => {},
        ask: async (d) => {
          asked.push(d);
          if (asked.length === 1) on.change({ name: "Again" });
          return "mine";
        },
      });
    on.change({ note: "elsewhere" });
    await attempt("v1");
    expect(asked).toEqual([]);
    on.change({ name: "Theirs" });
    await attempt("v1");
    expect(asked).toHaveLength(2);
    expect(on.state.name).toBe("Mine");
  });
  it("passes other refusals on", async () => {
    const refused = new ApiError(403, "forbidden", "No.");
    const run = unlessChanged({
      tag: "v1",
      write: async () => {
        throw refused;
      },
      read: async () => ({ value: {}, tag: "" }),
      differ: () => [],
      take: () => {},
    });
    await expect(run).rejects.toBe(refused);
  });
});

describe("a table on a phone", () => {
  it("names each cell by its column", () => {
    const table = document.createElement("table");
    table.innerHTML =
      "<thead><tr><th>Name</th><th>Role</th><th aria-label='Actions'></th></tr></thead><tbody><tr><td>Bo</td><td>Viewer</td><td>…</td></tr></tbody>";
    labelCells(table);
    const cells = [...(table.tBodies[0]?.rows[0]?.cells ?? [])];
    expect(cells.map((c) => c.dataset.label)).toEqual(["Name", "Role", undefined]);
    expect(cells.every((c) => c.getAttribute("role") === "cell")).toBe(true);
  });
});
