// The panels on the right of a graph, in their order. Each module's default export is a component with the properties
// graph, view, act, store, select, hover and picture; the page adds `scene`, the drawing.
export const PANELS = [
  { name: "node", title: "Node", load: () => import("./node_panel.js"), isThere: () => true },
  { name: "subgraph", title: "Subgraph", load: () => import("./subgraph_panel.js"), isThere: () => true },
  { name: "intervene", title: "Intervene", load: () => import("./intervene_panel.js"), isThere: (store) => store.can_intervene },
  { name: "notes", title: "Notes", load: () => import("./notes_panel.js"), isThere: () => true },
  { name: "share", title: "Share", load: () => import("./share_panel.js"), isThere: () => true },
];
