// Components: the one place that names the vendored library.
export {
  html, render, h, createContext, useState, useReducer, useRef, useMemo, useCallback, useContext, useErrorBoundary,
  // Effects run as soon as the page is changed. The library's own `useEffect` waits for the next frame, and keys, letters
  // and changes of the address that come before it would meet handlers of what was shown before, or none.
  useLayoutEffect as useEffect,
} from "./vendor/htm-preact-3.1.1/standalone.module.js";
