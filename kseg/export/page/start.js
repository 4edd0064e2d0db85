// An old-style script, because it runs where modules do not: it says why the page cannot work.
(function () {
  "use strict";
  var status = document.getElementById("status");
  if (location.protocol === "file:") {
    status.textContent =
      "A page opened as a file cannot load its model. Put this folder on a web server, or run: " +
      "kseg webcam --browser. README.txt says how.";
  } else if (!("noModule" in HTMLScriptElement.prototype) || !window.OffscreenCanvas || !window.createImageBitmap) {
    status.textContent = "This browser is too old for this page. Update it, or use another one.";
  } else {
    status.textContent = "Loading the page…";
    window.addEventListener("error", function (event) {
      if (event.target && event.target.tagName === "SCRIPT")
        status.textContent = "A part of this page is missing or is not served as JavaScript. README.txt says how.";
    }, true);
  }
})();
