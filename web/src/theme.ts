import {
  Badge,
  Button,
  createTheme,
  type MantineColorsTuple,
  Modal,
  MultiSelect,
  Notification,
  Paper,
  Select,
  Table,
  TableScrollContainer,
  TagsInput,
  Tooltip,
} from "@mantine/core";

/** The agent's colour, and the accent: pine. */
const pine: MantineColorsTuple = [
  "#e9f5f0", "#d3e9e0", "#a9d4c4", "#7cbda6", "#56a98c", "#3a997a", "#237f64", "#0f5b4b", "#0b4a3d", "#07382e",
]; // biome-ignore format: a palette reads best in one row
/** The caller's colour: fired clay. */
const clay: MantineColorsTuple = [
  "#fdf0e7", "#f9dfcd", "#f2bf9d", "#eb9d6a", "#e58142", "#d96a26", "#c2571a", "#a34513", "#83370f", "#63290b",
]; // biome-ignore format: a palette reads best in one row
/** Greys with a little green, so that paper and ink belong together. */
const dark: MantineColorsTuple = [
  "#dfe5e1", "#bcc5c0", "#98a39d", "#6d7973", "#434d48", "#333c38", "#252d29", "#1b211e", "#131715", "#0d100f",
]; // biome-ignore format: a palette reads best in one row

/** Greys with a little warmth, for paper. */
const gray: MantineColorsTuple = [
  "#f7f5f0",
  "#efece3",
  "#e5e1d5",
  "#d6d1c3",
  "#bcb6a6",
  "#979184",
  "#757065",
  "#565249",
  "#3b3832",
  "#26241f",
];

/** The library's crosses are pictures without a name; those who hear the page are told what they do. */
const close = { closeButtonProps: { "aria-label": "Close" } };
const clear = { clearButtonProps: { "aria-label": "Clear" } };

export const theme = createTheme({
  primaryColor: "pine",
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  luminanceThreshold: 0.3,
  colors: { pine, clay, dark, gray },
  black: "#1c2320",
  fontFamily: "'Instrument Sans Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, monospace",
  headings: {
    fontFamily: "'Bricolage Grotesque Variable', 'Instrument Sans Variable', sans-serif",
    fontWeight: "600",
    sizes: { h1: { fontSize: "1.9rem", lineHeight: "1.15" }, h2: { fontSize: "1.25rem" }, h3: { fontSize: "1.05rem" } },
  },
  defaultRadius: "md",
  radius: { md: "10px", lg: "16px" },
  cursorType: "pointer",
  focusRing: "auto",
  components: {
    Modal: Modal.extend({ defaultProps: close }),
    Notification: Notification.extend({ defaultProps: close }),
    Select: Select.extend({ defaultProps: clear }),
    MultiSelect: MultiSelect.extend({ defaultProps: clear }),
    TagsInput: TagsInput.extend({ defaultProps: clear }),
    Paper: Paper.extend({ defaultProps: { withBorder: true, radius: "lg" } }),
    Button: Button.extend({ defaultProps: { radius: "xl" } }),
    Badge: Badge.extend({ defaultProps: { variant: "light", tt: "none", fw: 600, miw: "max-content" } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 350, withArrow: true } }),
    TableScrollContainer: TableScrollContainer.extend({
      // What scrolls must be reached by the keyboard too.
      defaultProps: { scrollAreaProps: { viewportProps: { tabIndex: 0 } } },
    }),
    Table: Table.extend({ defaultProps: { verticalSpacing: "sm", highlightOnHover: true } }),
  },
});
