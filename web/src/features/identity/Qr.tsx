import encodeQR from "qr";
import { useMemo } from "react";

/** A QR code, drawn here: what it holds never leaves the page. Black on white in dark colours too, for cameras. */
export function Qr({ text, label, size = 190 }: { text: string; label: string; size?: number }) {
  const { path, side } = useMemo(() => {
    const rows = encodeQR(text, "raw", { border: 3 });
    const dots = rows.flatMap((row, y) => row.flatMap((on, x) => (on ? `M${x} ${y}h1v1h-1z` : [])));
    return { path: dots.join(""), side: rows.length };
  }, [text]);
  return (
    <svg
      role="img"
      aria-label={label}
      width={size}
      height={size}
      viewBox={`0 0 ${side} ${side}`}
      shapeRendering="crispEdges"
      style={{ borderRadius: 12, background: "#fff", flexShrink: 0 }}
    >
      <path d={path} fill="#000" />
    </svg>
  );
}
