// Between require.js and embed-amd.js: tells widgets where this site keeps what they would fetch from elsewhere.
(function () {
  const base = document.currentScript.src.replace(/[^/]*$/, "");
  const fonts = base + "fonts/any"; // the bundle only takes the folder of it
  require.config({
    paths: {
      anywidget: base + "anywidget",
      "@jupyter-widgets/html-manager": fonts,
      "@jupyter-widgets/html-manager/dist/libembed-amd": fonts,
      "@jupyter-widgets/html-manager/dist/embed-amd": fonts,
    },
  });
  // The bundle speaks MathJax 2, the site has 3, and its script comes later than this one.
  document.addEventListener("DOMContentLoaded", () => {
    const mathjax = (window.MathJax = window.MathJax || {});
    mathjax.Hub = mathjax.Hub || {
      Queue(call) {
        const element = call && call[2];
        if (mathjax.typesetPromise && element) mathjax.typesetPromise([element]).catch(() => {});
      },
    };
  });
})();
