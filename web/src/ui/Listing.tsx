import { Table, type TableProps } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useLayoutEffect, useRef } from "react";
import css from "./listing.module.css";

type Props = TableProps & {
  minWidth: number;
  /** The paper around it has no padding of its own. */
  flush?: boolean;
};

/** A table that scrolls where it is too wide, and whose rows become cards on a phone. */
export function Listing({ minWidth, flush, children, ...props }: Props) {
  const table = useRef<HTMLTableElement>(null);
  const phone = useMediaQuery("(max-width: 700px)", undefined, { getInitialValueInEffect: false });
  useLayoutEffect(() => {
    if (phone && table.current) labelCells(table.current);
  });
  return (
    <Table.ScrollContainer minWidth={phone ? 0 : minWidth}>
      <Table ref={table} className={phone ? css.cards : undefined} data-flush={flush || undefined} {...props}>
        {children}
      </Table>
    </Table.ScrollContainer>
  );
}

/** Writes each column's name beside its cells, and says that they are cells: laid out as a card they look like none. */
export function labelCells(table: HTMLTableElement) {
  const names = [...(table.tHead?.rows[0]?.cells ?? [])].map((th) => th.textContent ?? "");
  table.setAttribute("role", "table");
  for (const part of [...table.tBodies, table.tHead]) part?.setAttribute("role", "rowgroup");
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, i) => {
      cell.setAttribute("role", cell.tagName === "TH" ? "columnheader" : "cell");
      if (cell.tagName === "TD" && names[i]) cell.dataset.label = names[i];
    });
  }
}
