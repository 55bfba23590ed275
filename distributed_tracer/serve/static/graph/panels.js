// The panels on the right of a graph, in their order. Each module's default export is a component with the properties
// graph, view, act, store, select, hover and picture; the page adds `scene`, the drawing.
export const PANELS = [
  { name: "node", title: "Node", load: () => import("./node_panel.js"), isThere: () => true },
];
