// The answer of response_mode=form_post may itself have a field called "submit", which would hide the form's method.
HTMLFormElement.prototype.submit.call(document.forms[0]);
