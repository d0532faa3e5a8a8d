/** Two voices taking turns: the caller's clay, the agent's pine. */
export function Logo({ size = 30 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <g strokeWidth="3.4" strokeLinecap="round" fill="none">
        <path d="M2.5 13v5M7.5 8v15M12.5 12v7" stroke="var(--caller)" />
        <path d="M19 14.5v3M24 9v15M29 13.5v6" stroke="var(--agent)" />
      </g>
    </svg>
  );
}
