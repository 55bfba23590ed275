// Components: the one place that names the vendored library.
export {
  html, render, h, createContext, useState, useReducer, useEffect, useLayoutEffect, useRef, useMemo, useCallback,
  useContext, useErrorBoundary,
} from "./vendor/htm-preact-3.1.1/standalone.module.js";
